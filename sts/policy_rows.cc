// The rows on disk: what is made of them at start, how long those of expired policies stay, and their end.
#include <algorithm>
#include <utility>

#include "smtp/base/hop.h"
#include "sts/policy_domain.h"

namespace holdfast {
namespace {

// The row of an expired policy stays for so long while we run. That it has expired is the word of the clock
// at our start; where that was ahead of the time, a later start finds the policy in force.
constexpr Duration kKeepExpired = std::chrono::days(7);

}  // namespace

// What the cache holds, put where it belongs: in force, or expired and kept; returns whose rows are to be
// erased.
std::vector<DomainName> PolicyService::take_in(std::vector<CachedPolicy> rows) {
  const WallTime now = timeline_.now();
  for (CachedPolicy& row : rows) {
    // Fetched under a clock that was ahead: it must not hold for longer than its max_age from now, and what
    // came then is looked at anew. The row stays as it is: if it is our clock that is behind, it is right.
    const bool ahead = row.fetched > now;
    if (ahead) {
      row.fetched = now;
      row.expires = now + row.policy.max_age;
    }
    if (row.expires <= now) {
      keep_expired(row);
      continue;
    }
    auto& domain = domains_[row.domain];
    domain = std::make_unique<Domain>();
    domain->loaded = true;
    domain->used = timeline_.to_steady(row.fetched);
    install(*domain, std::move(row));
    if (ahead) domain->refresh_at = soon();
  }
  std::vector<DomainName> erasable = evict(nullptr);
  for (DomainName& name : trim_expired()) erasable.push_back(std::move(name));
  return erasable;
}

void PolicyService::keep_expired(const CachedPolicy& policy) {
  forget_expired(policy.domain);
  const Expired row{p_.clock.now() + kKeepExpired, policy.expires, octets_of(policy)};
  expired_.emplace(policy.domain, row);
  expired_octets_ += row.octets;
}

void PolicyService::forget_expired(const DomainName& name) {
  const auto found = expired_.find(name);
  if (found == expired_.end()) return;
  expired_octets_ -= found->second.octets;
  expired_.erase(found);
}

// Those whose time is over, and of too many those that expired first; returns whose rows are to be erased.
std::vector<DomainName> PolicyService::trim_expired() {
  std::vector<DomainName> gone;
  for (const auto& [name, row] : expired_) {
    if (p_.clock.now() >= row.erase_at) gone.push_back(name);
  }
  for (const DomainName& name : gone) forget_expired(name);
  const auto over = [this] { return expired_.size() > limits_.domains || expired_octets_ > limits_.octets; };
  if (!over()) return gone;
  std::vector<std::pair<WallTime, DomainName>> kept;
  for (const auto& [name, row] : expired_) kept.emplace_back(row.expires, name);
  std::sort(kept.begin(), kept.end());
  for (std::size_t i = 0; i < kept.size() && over(); ++i) {
    forget_expired(kept[i].second);
    gone.push_back(std::move(kept[i].second));
  }
  return gone;
}

void PolicyService::erase_later(std::vector<DomainName> rows) {
  if (!rows.empty()) tasks_.spawn(erase_rows(std::move(rows)));
}

asio::awaitable<void> PolicyService::erase_rows(std::vector<DomainName> domains) {
  for (const DomainName& name : domains) {
    // Fetched again meanwhile: its row is a new one.
    if (const auto found = domains_.find(name); found != domains_.end() && found->second->policy) continue;
    auto row = erase_row(name);
    auto erased = co_await hop(disk_, std::move(row));
    if (erased) continue;
    Fields fields;
    fields.add("domain", name.text()).add("reason", erased.error().text());
    p_.log.error("a row of the policy cache could not be erased", fields);
  }
}

}  // namespace holdfast
