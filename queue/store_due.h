// queue/store_due.h — which recipient domains have something due, without asking the database about each.
//
// Per domain with queued recipients that nobody holds: a lower bound of its earliest next attempt. Domains
// whose bound has come stand in a ring, so that each has its turn; the store looks into the database for the
// few that a sweep asks about and corrects the bound by what it found. Domains of the same bound come in the
// order in which they got it. About 170 octets per queued domain, whatever the number of messages.
#pragma once

#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "smtp/base/clock.h"

namespace holdfast {

// Thread-safe.
class DueIndex {
 public:
  // Something of the domain comes due at `at`: after the commit that says so.
  void touch(const std::string& domain, WallTime at);

  struct Candidate {
    std::string domain;
    std::uint64_t version = 0;
  };
  // How many domains' bounds have come.
  std::size_t ready(WallTime now);
  // The next of them in turn; it leaves the ring until report().
  std::optional<Candidate> next();
  // The domain with the earliest bound that has not come, and that bound.
  std::optional<std::pair<Candidate, WallTime>> earliest();
  // What the database said of a candidate: `due` now, or its next time, or nothing. Whatever touched the
  // domain meanwhile wins.
  void report(const Candidate& candidate, bool due, std::optional<WallTime> next);

  std::size_t size() const;

 private:
  struct Domain {
    WallTime bound{};
    std::uint64_t turn = 0;  // among those of the same bound
    std::uint64_t version = 0;
    enum class Place : std::uint8_t { future, ring, out } place = Place::future;
  };
  using Entry = std::pair<const std::string, Domain>;
  void to_future(Entry& entry, WallTime bound);
  void to_ring(Entry& entry);

  mutable std::mutex mutex_;
  std::unordered_map<std::string, Domain> domains_;
  std::map<std::pair<WallTime, std::uint64_t>, Entry*> future_;  // by bound and turn
  std::uint64_t last_turn_ = 0;
  std::deque<Entry*> ring_;
};

}  // namespace holdfast
