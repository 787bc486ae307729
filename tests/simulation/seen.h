// tests/simulation/seen.h — what the world saw and did: facts for the oracles. Nothing here comes from the
// relay's own judgement.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "smtp/base/clock.h"
#include "tests/simulation/identities.h"

namespace holdfast::simulation {

// One message that somebody tried to submit.
struct Letter {
  int number = 0;
  std::string from;  // "" = null
  std::vector<std::string> to;
  std::string content;    // as submitted, dots not stuffed
  bool over_tls = false;  // STARTTLS and AUTH; else from a trusted network
  bool requiretls = false;
  bool notify_never = false;
  bool chunked = false;  // BDAT
  bool pipelined = false;
  enum class Way {
    normal,
    drops_in_content,
    leaves_after_dot,
    slow,
    wrong_sender,
    clear_auth
  } way = Way::normal;

  enum class Outcome { unsent, unknown, refused, accepted } outcome = Outcome::unsent;
  std::string id;                  // of an accepted one
  std::vector<std::string> taken;  // recipients that got 250
  SteadyTime ended{};
  int life = 0;
};

// One mail transaction that reached a host of the world at least with MAIL.
struct Passage {
  int life = 0;
  std::string domain, host;
  std::string from, mail_command;
  std::vector<std::string> to;  // those taken
  std::string content;
  bool tls = false;
  Shown shown = Shown::good;
  int key = 0;
  bool requiretls_offered = false;
  SteadyTime at{}, ended{};
  enum class End { open, refused, taken, in_doubt } end = End::open;
};

// A command or content that came without TLS and names envelope or body.
struct ClearWords {
  std::string domain, host, words;
  SteadyTime at{};
};

// A TLS session of the relay with a mail host, as the host saw it.
struct Session {
  std::string domain, host;
  bool authentic = false;  // a good certificate
  bool went_on = false;    // said EHLO under TLS
  bool carries_report = false;
  SteadyTime at{};
};

// What a domain asks of mail to it, from `since` on.
struct PolicyText {
  std::string mode;  // enforce, testing, none
  std::vector<std::string> mx;
  std::chrono::seconds max_age{};
  std::string text() const;
};
struct Served {
  SteadyTime at{};
  PolicyText policy;
};
struct Demands {
  SteadyTime since{};
  std::vector<std::pair<Shown, int>> tlsa;  // keys that the TLSA records name; empty: none usable
  bool dane = false;                        // a secure TLSA set is published
};

struct SentReport {
  std::string domain, day, by, json_id;
  std::uint64_t successful = 0, failed = 0;
  bool in_doubt = false;  // the world's answer was lost
  std::string octets;
};

struct Seen {
  std::map<int, Letter> letters;
  std::vector<Passage> passages;
  std::vector<ClearWords> in_clear;
  std::vector<Session> sessions;
  std::map<std::string, std::vector<Served>> served;    // by domain, whole answers of the genuine host
  std::map<std::string, std::vector<Demands>> demands;  // by host
  std::vector<SentReport> reports;
  std::map<std::string, SteadyTime> slow_until;     // by domain: answers may have taken long until then
  std::vector<std::pair<SteadyTime, int>> crashes;  // and the life that ended by it
  std::vector<std::pair<SteadyTime, Duration>>
      lives;                               // when each began, and its wall clock less the steady one
  std::set<std::string> operator_removed;  // recipients
  std::vector<SteadyTime> ends;            // of lives, in order or not
  Duration expire{};                       // of the settings
  std::vector<SteadyTime> hurried;         // retry, resume, release, restart: schedules are void
  std::vector<std::string> failures;       // noticed at once

  void fail(std::string what) {
    if (failures.size() < 20) failures.push_back(std::move(what));
  }
};

}  // namespace holdfast::simulation
