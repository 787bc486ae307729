#include "queue/store_leases.h"

namespace holdfast {

ClaimToken LeaseTable::new_token() {
  const std::lock_guard lock(mutex_);
  return ClaimToken{++last_token_};
}

bool LeaseTable::leave(RecipientId id, ClaimToken token) {
  const std::lock_guard lock(mutex_);
  const auto entry = entries_.find(id);
  if (entry == entries_.end() || entry->second.state != State::held || entry->second.token != token.value)
    return false;
  entry->second.state = State::leaving;
  return true;
}

void LeaseTable::seize(RecipientId id) {
  const std::lock_guard lock(mutex_);
  seize_locked(id);
}

bool LeaseTable::seize_waiting(RecipientId id, SteadyTime now) {
  const std::lock_guard lock(mutex_);
  if (held_by_somebody(id, now)) return false;
  seize_locked(id);
  return true;
}

void LeaseTable::seize_locked(RecipientId id) {
  const auto [entry, fresh] = entries_.try_emplace(id);
  if (fresh) entry->second.was_held = false;
  if (entry->second.state == State::settled) entry->second.was_held = false;
  entry->second.state = State::seized;
}

void LeaseTable::insert(RecipientId id, ClaimToken token, const std::string& domain, SteadyTime until) {
  entries_[id] = Entry{token.value, State::held, true};
  const auto [lease, fresh] = leases_.try_emplace(token.value);
  if (fresh) lease->second.domain = domain;
  lease->second.until = until;
  ++lease->second.recipients;
  ++domains_[domain];
}

void LeaseTable::add(RecipientId id, ClaimToken token, const std::string& domain, SteadyTime until) {
  const std::lock_guard lock(mutex_);
  insert(id, token, domain, until);
}

void LeaseTable::forget_token(std::uint64_t token) {
  const auto lease = leases_.find(token);
  if (lease == leases_.end()) return;
  const auto domain = domains_.find(lease->second.domain);
  if (--domain->second == 0) domains_.erase(domain);
  if (--lease->second.recipients == 0) leases_.erase(lease);
}

void LeaseTable::erase(std::unordered_map<RecipientId, Entry>::iterator entry) {
  if (entry->second.token != 0) forget_token(entry->second.token);
  entries_.erase(entry);
}

void LeaseTable::settle(RecipientId id) {
  const std::lock_guard lock(mutex_);
  const auto entry = entries_.find(id);
  if (entry == entries_.end()) return;
  if (readers_ == 0) {
    erase(entry);
    return;
  }
  if (entry->second.token != 0) forget_token(entry->second.token);
  entry->second = Entry{0, State::settled, false};
  settled_.push_back(id);
}

void LeaseTable::undo(RecipientId id) {
  const std::lock_guard lock(mutex_);
  const auto entry = entries_.find(id);
  if (entry == entries_.end()) return;
  if (entry->second.was_held) {
    entry->second.state = State::held;
  } else {
    erase(entry);
  }
}

void LeaseTable::drop(RecipientId id) {
  const std::lock_guard lock(mutex_);
  const auto entry = entries_.find(id);
  if (entry != entries_.end()) erase(entry);
}

void LeaseTable::begin_read() {
  const std::lock_guard lock(mutex_);
  ++readers_;
}

void LeaseTable::end_read() {
  const std::lock_guard lock(mutex_);
  if (--readers_ > 0) return;
  for (const RecipientId id : settled_) {
    const auto entry = entries_.find(id);
    if (entry != entries_.end() && entry->second.state == State::settled) entries_.erase(entry);
  }
  settled_.clear();
}

bool LeaseTable::take(RecipientId id, ClaimToken token, const std::string& domain, SteadyTime now,
                      SteadyTime until) {
  const std::lock_guard lock(mutex_);
  const auto entry = entries_.find(id);
  if (entry != entries_.end()) {
    if (entry->second.state != State::held) return false;
    const auto lease = leases_.find(entry->second.token);
    if (lease != leases_.end() && lease->second.until > now) return false;
    erase(entry);
  }
  insert(id, token, domain, until);
  return true;
}

void LeaseTable::give_back(RecipientId id, ClaimToken token) {
  const std::lock_guard lock(mutex_);
  const auto entry = entries_.find(id);
  if (entry != entries_.end() && entry->second.state == State::held && entry->second.token == token.value)
    erase(entry);
}

bool LeaseTable::renew(ClaimToken token, SteadyTime until) {
  const std::lock_guard lock(mutex_);
  const auto lease = leases_.find(token.value);
  if (lease == leases_.end()) return false;
  lease->second.until = until;
  lease->second.told = false;
  return true;
}

bool LeaseTable::in_hand(RecipientId id, SteadyTime now) const {
  const std::lock_guard lock(mutex_);
  return held_by_somebody(id, now);
}

bool LeaseTable::held_by_somebody(RecipientId id, SteadyTime now) const {
  const auto entry = entries_.find(id);
  if (entry == entries_.end()) return false;
  if (entry->second.state != State::held) return entry->second.state != State::settled;
  const auto lease = leases_.find(entry->second.token);
  return lease != leases_.end() && lease->second.until > now;
}

std::size_t LeaseTable::count(const std::string& domain) const {
  const std::lock_guard lock(mutex_);
  const auto found = domains_.find(domain);
  // Marked entries without a token (seized, settled) are of no known domain: few, and counted for each.
  return (found == domains_.end() ? 0 : found->second) + settled_.size();
}

std::vector<std::string> LeaseTable::expired(SteadyTime now) {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> domains;
  for (auto& [token, lease] : leases_) {
    if (lease.told || lease.until > now) continue;
    lease.told = true;
    domains.push_back(lease.domain);
  }
  return domains;
}

}  // namespace holdfast
