// What a domain asked of mail to it: from what its hosts served and its zone said, never from the planner.
#include <algorithm>

#include "tests/simulation/oracles.h"

namespace holdfast::simulation {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

// From the plan of an attempt to its last message: what was asked may have changed in between.
constexpr Duration kAttempt = minutes(2);
constexpr Duration kSlowAttempt = minutes(45);
constexpr Duration kDnsCache = seconds(301);  // the zones' TTL
// A policy that was served just before a crash may not have reached the disk.
constexpr Duration kWriting = seconds(2);

bool matches(const std::string& pattern, const std::string& host) {
  if (!pattern.starts_with("*.")) return pattern == host;
  const auto dot = host.find('.');
  return dot != std::string::npos && host.substr(dot) == pattern.substr(1);
}

}  // namespace

Duration Truth::window(const std::string& domain, SteadyTime at) const {
  const auto slow = world_.seen.slow_until.find(domain);
  return slow != world_.seen.slow_until.end() && at <= slow->second ? kSlowAttempt : kAttempt;
}

Duration Truth::wall_offset(SteadyTime at) const {
  Duration offset{0};
  for (const auto& [began, its] : world_.seen.lives)
    if (began <= at) offset = its;
  return offset;
}

Truth::Asked Truth::asked_by_policy(const std::string& domain, const std::string& host, SteadyTime at) const {
  Asked asked;
  const auto found = world_.seen.served.find(domain);
  if (found == world_.seen.served.end()) return asked;
  const auto& served = found->second;
  const SteadyTime from = at - window(domain, at);
  const auto doubtful = [&](const Served& one) {
    return std::any_of(world_.seen.crashes.begin(), world_.seen.crashes.end(), [&](const auto& crash) {
      return crash.first >= one.at && crash.first - one.at < kWriting;
    });
  };
  asked.enforce = asked.excludes = true;
  SteadyTime covered = from;  // up to where some policy stands without a gap
  bool any = false;
  for (std::size_t i = 0; i < served.size(); ++i) {
    const Served& one = served[i];
    if (one.at > at) break;
    // Stored times are by the wall clock as each life found it: one that was set forward in between ages
    // them.
    const Duration aged = wall_offset(at) - wall_offset(one.at);
    SteadyTime until = one.at + one.policy.max_age - seconds(1) - std::max(Duration(0), aged);
    // The next one takes its place, unless that one may have been lost.
    for (std::size_t j = i + 1; j < served.size(); ++j)
      if (!doubtful(served[j])) {
        until = std::min(until, served[j].at + kWriting);
        break;
      }
    if (until < from) continue;
    if (!doubtful(one) && one.at + kWriting <= covered) covered = std::max(covered, until);
    any = true;
    asked.enforce = asked.enforce && one.policy.mode == "enforce";
    const bool named = std::any_of(one.policy.mx.begin(), one.policy.mx.end(),
                                   [&](const auto& pattern) { return matches(pattern, host); });
    asked.excludes = asked.excludes && !named;
  }
  if (!any || covered < at) return Asked();
  return asked;
}

std::vector<const Demands*> Truth::asked_by_dane(const std::string& domain, const std::string& host,
                                                 SteadyTime at) const {
  const auto found = world_.seen.demands.find(host);
  if (found == world_.seen.demands.end()) return {};
  const SteadyTime from = at - window(domain, at) - kDnsCache;
  std::vector<const Demands*> out;
  const auto& history = found->second;
  for (std::size_t i = 0; i < history.size(); ++i) {
    if (history[i].since > at) break;
    if (i + 1 < history.size() && history[i + 1].since < from) continue;
    if (i == 0 && history[i].since > from) return {};
    if (!history[i].dane) return {};
    out.push_back(&history[i]);
  }
  return out;
}

bool Truth::forbids_clear(const std::string& domain, const std::string& host, SteadyTime at) const {
  return asked_by_policy(domain, host, at).enforce || !asked_by_dane(domain, host, at).empty();
}

std::string Truth::wrong_with(const Passage& passage, bool& strict) const {
  const Asked policy = asked_by_policy(passage.domain, passage.host, passage.at);
  const auto dane = asked_by_dane(passage.domain, passage.host, passage.at);
  strict = policy.enforce || !dane.empty();
  if (policy.enforce) {
    if (policy.excludes) return "invariant 13: the policy does not name the host";
    if (!passage.tls) return "invariant 13: in clear where the policy is enforced";
    if (passage.shown != Shown::good) return "invariant 14: to a host that did not prove its name";
  }
  if (!dane.empty()) {
    if (!passage.tls) return "invariant 18: in clear where TLSA records are published";
    const bool proved = std::any_of(dane.begin(), dane.end(), [&](const Demands* one) {
      return one->tlsa.empty() || std::any_of(one->tlsa.begin(), one->tlsa.end(), [&](const auto& key) {
               return key == std::make_pair(passage.shown, passage.key);
             });
    });
    if (!proved) return "invariant 18: to a host whose key is in no TLSA record";
  }
  return "";
}

}  // namespace holdfast::simulation
