#include "smtp/server/failure_limiter.h"

#include <algorithm>

namespace holdfast {
namespace {

constexpr std::size_t kMaxBuckets = 65536;  // about 5 MiB

}  // namespace

double FailureLimiter::tokens_at(const Bucket& bucket, SteadyTime now) const {
  const auto size = static_cast<double>(rate_.count);
  const double elapsed = std::chrono::duration<double>(now - bucket.at).count();
  const double per = std::chrono::duration<double>(rate_.per).count();
  return std::min(size, bucket.tokens + (per > 0 ? elapsed * size / per : size));
}

void FailureLimiter::make_room(SteadyTime now) {
  if (buckets_.size() < kMaxBuckets) return;
  const auto size = static_cast<double>(rate_.count);
  std::erase_if(buckets_, [&](const auto& entry) { return tokens_at(entry.second, now) >= size; });
  // Still full: whoever has that many networks at hand is not stopped by counting them. Half of them go.
  if (buckets_.size() < kMaxBuckets) return;
  bool drop = false;
  std::erase_if(buckets_, [&](const auto&) { return drop = !drop; });
}

FailureLimiter::Bucket& FailureLimiter::bucket_of(const IpBytes& client_ip, SteadyTime now) {
  const IpBytes key = network_of(client_ip);
  auto found = buckets_.find(key);
  if (found == buckets_.end()) {
    make_room(now);
    found = buckets_.emplace(key, Bucket{static_cast<double>(rate_.count), now}).first;
  }
  found->second.tokens = tokens_at(found->second, now);
  found->second.at = now;
  return found->second;
}

bool FailureLimiter::take(const IpBytes& client_ip, SteadyTime now) {
  if (rate_.unlimited()) return true;
  Bucket& bucket = bucket_of(client_ip, now);
  if (bucket.tokens < 1) return false;
  bucket.tokens -= 1;
  return true;
}

bool FailureLimiter::exhausted(const IpBytes& client_ip, SteadyTime now) const {
  const auto found = buckets_.find(network_of(client_ip));
  return !rate_.unlimited() && found != buckets_.end() && tokens_at(found->second, now) < 1;
}

void FailureLimiter::give_back(const IpBytes& client_ip, SteadyTime now) {
  if (rate_.unlimited()) return;
  Bucket& bucket = bucket_of(client_ip, now);
  bucket.tokens = std::min(static_cast<double>(rate_.count), bucket.tokens + 1);
  // Most clients never fail: they leave no trace.
  if (bucket.tokens >= static_cast<double>(rate_.count)) buckets_.erase(network_of(client_ip));
}

}  // namespace holdfast
