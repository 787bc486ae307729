// tests/simulation/oracles.h — what must hold at the end of a seed, judged from the world's own truth. Each
// failure names the invariant of the protocol notes (README.md has the list).
#pragma once

#include "tests/simulation/life.h"

namespace holdfast::simulation {

inline constexpr Duration kFirstRetry = std::chrono::minutes(5);  // of the simulated settings

struct Verdicts {
  std::vector<std::string> failures;
  // What was judged, so that a seed in which nothing happened cannot pass for a good one.
  std::uint64_t letters = 0, accepted = 0, recipients = 0, delivered = 0, bounced = 0, notices = 0,
                strict_passages = 0, sessions = 0, reports = 0, doubts = 0;
};

// `rows`: all that the store remembers at the end.
Verdicts judge(const World& world, const Heard& heard, const std::vector<QueueRow>& rows);

// The demands of a recipient's domain in the world's own view.
class Truth {
 public:
  explicit Truth(const World& world) : world_(world) {}
  // Why this passage may not have been; "" when it may.
  std::string wrong_with(const Passage& passage, bool& strict) const;
  // Does the domain ask that nothing goes to this host in clear, all through the time before `at`?
  bool forbids_clear(const std::string& domain, const std::string& host, SteadyTime at) const;
  // The wall clock less the steady one, as the life at that time found it.
  Duration wall_offset(SteadyTime at) const;

 private:
  struct Asked {
    bool enforce = false;   // by every policy that may have been in force
    bool excludes = false;  // and none of them names the host
  };
  Asked asked_by_policy(const std::string& domain, const std::string& host, SteadyTime at) const;
  // The demands of TLSA that may be in force; empty: none, or not all the time.
  std::vector<const Demands*> asked_by_dane(const std::string& domain, const std::string& host,
                                            SteadyTime at) const;
  Duration window(const std::string& domain, SteadyTime at) const;

  const World& world_;
};

}  // namespace holdfast::simulation
