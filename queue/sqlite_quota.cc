#include "queue/sqlite_quota.h"

#include <algorithm>

namespace holdfast {

asio::awaitable<Result<bool>> SqliteQuota::take(std::string key, Rate rate, std::uint64_t n) {
  co_return take_now(key, rate, n);
}

bool SqliteQuota::take_now(const std::string& key, Rate rate, std::uint64_t n) {
  if (rate.unlimited()) return true;
  const WallTime now = timeline_.now();
  const std::lock_guard lock(mutex_);
  const auto [found, fresh] = buckets_.try_emplace(key, StoredBucket{TokenBucket::full(rate, now), rate});
  StoredBucket& stored = found->second;
  stored.rate = rate;
  const bool taken = stored.bucket.take(rate, n, now);
  if (taken) changed_[key] = stored;
  return taken;
}

void SqliteQuota::load(std::vector<std::pair<std::string, StoredBucket>> buckets) {
  const WallTime now = timeline_.now();
  const std::lock_guard lock(mutex_);
  for (auto& [key, stored] : buckets) {
    stored.bucket.at = std::min(stored.bucket.at, now);  // the wall clock may have been set back meanwhile
    buckets_[key] = stored;
    if (stored.bucket.is_full(stored.rate, now)) changed_[key] = stored;  // its row goes with the next write
  }
}

std::map<std::string, StoredBucket> SqliteQuota::changed() {
  const WallTime now = timeline_.now();
  const std::lock_guard lock(mutex_);
  std::erase_if(buckets_, [&](const auto& entry) {
    const bool full = entry.second.bucket.is_full(entry.second.rate, now);
    if (full) changed_[entry.first] = entry.second;  // save_quota() removes the row of a full one
    return full;
  });
  return std::exchange(changed_, {});
}

}  // namespace holdfast
