// smtp/server/quota.h — durable counters for rates and failures; the store implements it.
#pragma once

#include <string>

#include "config/settings.h"
#include "smtp/base/asio.h"
#include "smtp/base/result.h"

namespace holdfast {

class Quota {
 public:
  virtual ~Quota() = default;
  // Takes `n` from the token bucket `key` ("user/app/messages") of size rate.count refilled over rate.per.
  // False (nothing taken) when fewer are left. Survives a restart. Any worker.
  virtual asio::awaitable<Result<bool>> take(std::string key, Rate rate, std::uint64_t n) = 0;
};

}  // namespace holdfast
