// queue/sqlite_quota.h — the token buckets of smtp/server/quota.h: decided in memory, written within a second
// or with the next group. A crash may give back what was taken in the last second; a restart gives nothing
// back.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "queue/store_quota.h"
#include "smtp/server/quota.h"

namespace holdfast {

class SqliteQuota final : public Quota {
 public:
  explicit SqliteQuota(const Timeline& timeline) : timeline_(timeline) {}

  asio::awaitable<Result<bool>> take(std::string key, Rate rate, std::uint64_t n) override;

  void load(std::vector<std::pair<std::string, StoredBucket>> buckets);
  // What changed since the last call. Buckets that are full again are forgotten: full is what a new one is.
  std::map<std::string, StoredBucket> changed();

 private:
  bool take_now(const std::string& key, Rate rate, std::uint64_t n);

  const Timeline& timeline_;
  std::mutex mutex_;
  std::map<std::string, StoredBucket> buckets_, changed_;
};

}  // namespace holdfast
