#include "queue/delivery_context.h"

namespace holdfast {
namespace {

constexpr Duration kRememberDead = std::chrono::minutes(1);
constexpr std::size_t kMostDead = 10000;

}  // namespace

void DeadAddresses::add(const IpBytes& ip, std::uint16_t port, SteadyTime now) {
  if (dead_.size() >= kMostDead) std::erase_if(dead_, [&](const auto& entry) { return entry.second <= now; });
  if (dead_.size() >= kMostDead) dead_.clear();
  dead_[{ip, port}] = now + kRememberDead;
}

bool DeadAddresses::has(const IpBytes& ip, std::uint16_t port, SteadyTime now) const {
  return until(ip, port) > now;
}

SteadyTime DeadAddresses::until(const IpBytes& ip, std::uint16_t port) const {
  const auto found = dead_.find({ip, port});
  return found == dead_.end() ? SteadyTime{} : found->second;
}

DeliveryMetrics::DeliveryMetrics(Metrics& metrics)
    : metrics_(metrics),
      duration_(metrics.histogram("delivery_duration_seconds")),
      delay_(metrics.histogram("message_delay_seconds")) {}

Counter& DeliveryMetrics::attempts(const std::string& result, const std::string& tls_policy) {
  Counter*& counter = attempts_[{result, tls_policy}];
  if (!counter)
    counter = &metrics_.counter("delivery_attempts_total", {{"result", result}, {"tls_policy", tls_policy}});
  return *counter;
}

Counter& DeliveryMetrics::lowered(const std::string& cause, const std::string& result_type) {
  Counter*& counter = lowered_[{cause, result_type}];
  if (!counter)
    counter = &metrics_.counter("policy_lowered_total", {{"cause", cause}, {"result_type", result_type}});
  return *counter;
}

Counter& DeliveryMetrics::sessions(const std::string& policy, const std::string& result_type) {
  Counter*& counter = sessions_[{policy, result_type}];
  if (!counter)
    counter = &metrics_.counter("tls_sessions_total", {{"policy", policy}, {"result_type", result_type}});
  return *counter;
}

}  // namespace holdfast
