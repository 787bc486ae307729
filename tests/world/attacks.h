// tests/world/attacks.h — every attack that a relay must hold its mail under, as one list: the end-to-end
// tests run it, and so does `holdfast selftest` on an operator's machine.
//
// Procedure, for each attack in a domain of its own: the domain is arranged in a world. Where the attack is
// on a policy that is already known, one message is delivered soundly first, the relay is stopped, the
// attacker strikes, and the relay starts again with what it has on disk. Then a message is submitted. The
// relay held on to it when the delivery was deferred, nothing arrived, and no word of it was on any wire.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/world/world.h"

namespace holdfast::world {

struct Attack {
  std::string name;   // "starttls-stripped"; its domain is the name under ".test"
  std::string about;  // what the attacker does
  std::function<void(World& world, const std::string& domain)> arrange;
  // Empty: the domain is under attack from the start.
  std::function<void(World& world, const std::string& domain)> strike;
};

const std::vector<Attack>& attacks();

struct AttackResult {
  std::string name, about;
  bool held = false;
  std::string how;  // the relay's reason, or what went wrong
};

struct AttackRun {
  std::string binary;  // of holdfast
  std::map<std::string, std::string>
      settings;      // over those of the world's relay: {"sts.mode", "\"observe\""}
  std::string only;  // one attack; "" = all
  std::function<void(std::size_t judged, std::size_t of)> told;  // how far it is; may be empty
};
// In the order of the list. A relay that does not start makes each attack fail, with its output.
std::vector<AttackResult> run_attacks(const AttackRun& run);

}  // namespace holdfast::world
