// queue/store_quota.h — one token bucket; what a durable quota (smtp/server/quota.h) keeps per key. Pure.
#pragma once

#include "config/settings.h"
#include "smtp/base/clock.h"

namespace holdfast {

struct TokenBucket {
  double tokens = 0;
  WallTime at{};  // when `tokens` was right

  static TokenBucket full(Rate rate, WallTime now) { return {static_cast<double>(rate.count), now}; }
  // Takes n tokens, or none when fewer are there. A clock that went back refills nothing and takes nothing
  // away.
  bool take(Rate rate, std::uint64_t n, WallTime now);
  bool is_full(Rate rate, WallTime now) const;

 private:
  void refill(Rate rate, WallTime now);
};

// A bucket as it is kept, with the rate it was last used with.
struct StoredBucket {
  TokenBucket bucket;
  Rate rate;
};

}  // namespace holdfast
