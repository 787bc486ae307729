// What is kept in memory: proactive refresh, bounds and who goes first, expiry.
#include <algorithm>
#include <tuple>
#include <utility>

#include "sts/policy_domain.h"

namespace holdfast {
namespace {

constexpr Duration kSweepEvery = std::chrono::minutes(1);
constexpr Duration kSpreadAfterStart = std::chrono::minutes(10);  // what fell due while we were down
// All of Limits::domains in a day, twice over, though every fetch took its whole minute.
constexpr std::size_t kRefreshesAtOnce = 32;

}  // namespace

std::size_t octets_of(const CachedPolicy& policy) {
  return policy.domain.text().size() + policy.id.size() + policy.policy.lines.octets() +
         policy.policy.mx.octets();
}

SteadyTime PolicyService::next_refresh(const CachedPolicy& policy) const {
  const Duration refresh = p_.settings.current()->sts.refresh;
  // Well before it expires; but one that lives for minutes is fetched when it is needed.
  const Duration life = std::max<Duration>(policy.policy.max_age * 3 / 4, kFirstBackOff);
  const auto part_of = [this](Duration time, double least) {
    const double part = least + (1.0 - least) * p_.random.unit();
    return std::chrono::duration_cast<Duration>(time * part);
  };
  const SteadyTime due = timeline_.to_steady(policy.fetched) + part_of(std::min(refresh, life), 0.9);
  return due > p_.clock.now() ? due : soon();
}

SteadyTime PolicyService::soon() const {
  return p_.clock.now() + std::chrono::duration_cast<Duration>(kSpreadAfterStart * p_.random.unit());
}

void PolicyService::install(Domain& domain, CachedPolicy policy) {
  if (domain.policy) octets_ -= octets_of(*domain.policy);
  octets_ += octets_of(policy);
  forget_expired(policy.domain);
  domain.refresh_at = next_refresh(policy);
  domain.policy = std::move(policy);
}

PolicyService::Domain& PolicyService::at(const DomainName& name) {
  if (const auto found = domains_.find(name); found != domains_.end()) return *found->second;
  auto domain = std::make_unique<Domain>();
  domain->used = p_.clock.now();
  Domain& made = *domain;
  domains_.emplace(name, std::move(domain));
  erase_later(evict(&made));
  return made;
}

void PolicyService::drop(const DomainName& name) {
  const auto found = domains_.find(name);
  if (found == domains_.end()) return;
  if (found->second->policy) octets_ -= octets_of(*found->second->policy);
  domains_.erase(found);
}

std::vector<DomainName> PolicyService::evict(const Domain* keep) {
  std::vector<DomainName> rows;
  if (domains_.size() <= limits_.domains && octets_ <= limits_.octets) return rows;
  struct Candidate {
    int rank;  // 0 no policy in force, 1 testing or none, 2 enforce
    SteadyTime used;
    DomainName name;
  };
  std::vector<Candidate> candidates;
  for (const auto& [name, domain] : domains_) {
    if (domain->flight || domain.get() == keep) continue;  // someone is about to use it
    const int rank = !in_force(*domain) ? 0 : domain->policy->policy.mode == StsMode::enforce ? 2 : 1;
    candidates.push_back({rank, domain->used, name});
  }
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    return std::tie(a.rank, a.used) < std::tie(b.rank, b.used);
  });
  // A twentieth more than needed, so that this is not done at every new domain; but no enforce policy beyond
  // need.
  const auto over = [&](int rank) {
    const std::size_t slack = rank == 2 ? 0 : 20;
    const auto goal = [slack](std::size_t limit) { return slack == 0 ? limit : limit - limit / slack; };
    return domains_.size() > goal(limits_.domains) || octets_ > goal(limits_.octets);
  };
  for (const Candidate& candidate : candidates) {
    if (!over(candidate.rank)) break;
    if (candidate.rank == 2) {
      Fields fields;
      fields.add("domain", candidate.name.text());
      p_.log.warning("the policy cache is full of enforce policies; one in force is given up", fields);
    }
    if (domains_.at(candidate.name)->policy) rows.push_back(candidate.name);
    drop(candidate.name);
  }
  return rows;
}

asio::awaitable<void> PolicyService::refresh_forever() {
  while (true) {
    const bool due = co_await sleep_for(p_.clock, kSweepEvery);
    if (!due) co_return;
    sweep();
  }
}

// One of the at most kRefreshesAtOnce that fetch what is due: the next as soon as one has landed. Look-ups
// under way are none of them: names that never answer would leave no room for any refresh.
asio::awaitable<void> PolicyService::refresh_due() {
  struct Counted {
    std::size_t& count;
    ~Counted() { --count; }
  };
  const Counted counted{refreshers_};
  while (!due_.empty() && !tasks_.stopping()) {
    const DomainName name = std::move(due_.front());
    due_.pop_front();
    const auto found = domains_.find(name);
    if (found == domains_.end()) continue;
    Domain& domain = *found->second;
    if (domain.flight || !in_force(domain) || p_.clock.now() < domain.refresh_at) continue;
    auto flight = std::make_shared<Flight>(Want::scheduled);
    domain.flight = flight;
    co_await update(name, std::move(flight));
  }
}

// Starts what is due and forgets what ran out and was not asked for since.
void PolicyService::sweep() {
  const SteadyTime now = p_.clock.now();
  std::vector<std::pair<WallTime, DomainName>> due;
  std::vector<DomainName> gone;
  for (const auto& [name, domain] : domains_) {
    if (domain->flight) continue;
    if (in_force(*domain)) {
      if (now >= domain->refresh_at) due.emplace_back(domain->policy->expires, name);
    } else if (domain->policy || now >= domain->used + kLongestBackOff) {
      gone.push_back(name);
    }
  }
  std::sort(due.begin(), due.end());
  due_.clear();
  for (auto& [expires, name] : due) due_.push_back(std::move(name));
  for (std::size_t more = std::min(kRefreshesAtOnce - refreshers_, due_.size()); more > 0; --more) {
    ++refreshers_;
    if (tasks_.spawn(refresh_due())) continue;
    --refreshers_;
    break;
  }

  for (const DomainName& name : gone) {
    const auto found = domains_.find(name);
    if (found == domains_.end()) continue;
    Domain& domain = *found->second;
    if (domain.policy) {
      Fields fields;
      p_.log.event("sts_policy",
                   fields.add("domain", name.text()).add("change", "expired").add("id", domain.policy->id));
      octets_ -= octets_of(*domain.policy);
      keep_expired(*domain.policy);
      domain.policy.reset();
    }
    if (now >= domain.used + kLongestBackOff) drop(name);
  }
  erase_later(trim_expired());
}

asio::awaitable<std::vector<PolicyEntry>> PolicyService::list() {
  std::vector<PolicyEntry> all;
  for (const auto& [name, domain] : domains_) {
    if (!in_force(*domain)) continue;
    PolicyEntry entry;
    entry.cached = *domain->policy;
    entry.source = domain->loaded ? "cache" : "fetched";
    entry.refresh =
        timeline_.now() + std::chrono::floor<std::chrono::microseconds>(domain->refresh_at - p_.clock.now());
    if (domain->failure) entry.failure = domain->failure->text();
    all.push_back(std::move(entry));
  }
  std::sort(all.begin(), all.end(),
            [](const PolicyEntry& a, const PolicyEntry& b) { return a.cached.domain < b.cached.domain; });
  co_return all;
}

asio::awaitable<std::size_t> PolicyService::forget(std::optional<DomainName> domain) {
  std::vector<DomainName> rows;
  for (auto& [name, known] : domains_) {
    if (domain && name != *domain) continue;
    if (known->policy) {
      rows.push_back(name);
      octets_ -= octets_of(*known->policy);
      known->policy.reset();
    }
    known->record = Domain::Record::unlooked;
    known->failure.reset();
    known->failed_id.clear();
    known->alarmed.clear();
  }
  const std::size_t count = rows.size();
  for (const auto& [name, expired] : expired_) {
    if (!domain || name == *domain) rows.push_back(name);
  }
  for (const DomainName& name : rows) forget_expired(name);
  co_await erase_rows(std::move(rows));
  co_return count;
}

}  // namespace holdfast
