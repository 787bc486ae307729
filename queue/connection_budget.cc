#include "queue/connection_budget.h"

#include <algorithm>

namespace holdfast {
namespace {

constexpr Duration kWantedFor = std::chrono::seconds(1);
// After slow_down() one more connection, and a tenth more rate, is allowed each so often.
constexpr Duration kRecoverEvery = std::chrono::seconds(30);
// Hosts remembered at the most before those that are not in use are forgotten.
constexpr std::size_t kManyHosts = 10000;

}  // namespace

ConnectionBudget::Place& ConnectionBudget::Place::operator=(Place&& other) noexcept {
  if (this != &other) {
    release();
    budget_ = std::exchange(other.budget_, nullptr);
    host_ = std::move(other.host_);
  }
  return *this;
}

void ConnectionBudget::Place::release() {
  if (auto* budget = std::exchange(budget_, nullptr)) budget->close(host_);
}

void ConnectionBudget::recover(Host& host, const DeliverySettings& limits, SteadyTime now) {
  while ((host.allowed != 0 || host.rate_factor < 1) && now - host.lowered_at >= kRecoverEvery) {
    host.lowered_at += kRecoverEvery;
    if (host.allowed != 0 && ++host.allowed >= limits.connections_per_mx) host.allowed = 0;
    host.rate_factor = std::min(1.0, host.rate_factor + 0.1);
  }
}

ConnectionBudget::Place ConnectionBudget::open(const std::string& host, const DeliverySettings& limits,
                                               SteadyTime now) {
  const std::lock_guard lock(mutex_);
  if (hosts_.size() > kManyHosts) forget_unused(now);
  Host& h = hosts_[host];
  recover(h, limits, now);
  const unsigned allowed =
      h.allowed == 0 ? limits.connections_per_mx : std::min(h.allowed, limits.connections_per_mx);
  if (h.open >= std::max(1u, allowed) || total_ >= limits.connections_total) {
    h.wanted = h.wanted_until > now ? std::min(h.wanted + 1, h.open) : 1;
    h.wanted_until = now + kWantedFor;
    return {};
  }
  ++h.open;
  ++total_;
  return Place(this, host);
}

bool ConnectionBudget::give_way(const std::string& host, SteadyTime now) {
  const std::lock_guard lock(mutex_);
  const auto found = hosts_.find(host);
  if (found == hosts_.end() || found->second.wanted_until <= now || found->second.wanted == 0) return false;
  --found->second.wanted;
  return true;
}

bool ConnectionBudget::take_message(const std::string& host, const DeliverySettings& limits, SteadyTime now,
                                    SteadyTime& at) {
  if (limits.rate_per_mx.unlimited() || limits.rate_per_mx.per.count() <= 0) return true;
  const std::lock_guard lock(mutex_);
  Host& h = hosts_[host];
  recover(h, limits, now);
  const double per_second = static_cast<double>(limits.rate_per_mx.count) * 1000 /
                            static_cast<double>(limits.rate_per_mx.per.count()) * h.rate_factor;
  // No more than a second's worth at once: a rate of 600 a minute means ten a second, not 600 in the first.
  const double most = std::max(1.0, per_second);
  if (!h.bucket_started) {
    h.bucket_started = true;
    h.tokens = most;
  } else {
    h.tokens =
        std::min(most, h.tokens + std::chrono::duration<double>(now - h.filled_at).count() * per_second);
  }
  h.filled_at = now;
  if (h.tokens >= 1) {
    h.tokens -= 1;
    return true;
  }
  at = now + std::chrono::ceil<Duration>(std::chrono::duration<double>((1 - h.tokens) / per_second));
  return false;
}

void ConnectionBudget::slow_down(const std::string& host, const DeliverySettings& limits, SteadyTime now) {
  const std::lock_guard lock(mutex_);
  Host& h = hosts_[host];
  const unsigned before =
      h.allowed == 0 ? std::min(limits.connections_per_mx, std::max(h.open, 1u)) : h.allowed;
  h.allowed = std::max(1u, before / 2);
  h.rate_factor = std::max(0.1, h.rate_factor / 2);
  h.lowered_at = now;
}

std::size_t ConnectionBudget::open_to(const std::string& host) const {
  const std::lock_guard lock(mutex_);
  const auto found = hosts_.find(host);
  return found == hosts_.end() ? 0 : found->second.open;
}

void ConnectionBudget::close(const std::string& host) {
  const std::lock_guard lock(mutex_);
  --hosts_[host].open;
  --total_;
}

void ConnectionBudget::forget_unused(SteadyTime now) {
  std::erase_if(hosts_, [&](const auto& entry) {
    const Host& h = entry.second;
    return h.open == 0 && h.wanted_until <= now && now - h.filled_at > kRecoverEvery &&
           now - h.lowered_at > kRecoverEvery;
  });
}

}  // namespace holdfast
