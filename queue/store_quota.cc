#include "queue/store_quota.h"

#include <algorithm>

namespace holdfast {

void TokenBucket::refill(Rate rate, WallTime now) {
  const auto size = static_cast<double>(rate.count);
  if (now > at && rate.per.count() > 0) {
    const double elapsed = std::chrono::duration<double, std::milli>(now - at).count();
    tokens += elapsed * size / static_cast<double>(rate.per.count());
  }
  at = now;
  tokens = std::clamp(tokens, 0.0, size);  // also when the rate was lowered since
}

bool TokenBucket::take(Rate rate, std::uint64_t n, WallTime now) {
  if (rate.unlimited()) return true;
  refill(rate, now);
  const auto wanted = static_cast<double>(n);
  if (tokens + 1e-9 < wanted) return false;  // the margin swallows what adding fractions loses
  tokens = std::max(0.0, tokens - wanted);
  return true;
}

bool TokenBucket::is_full(Rate rate, WallTime now) const {
  TokenBucket copy = *this;
  copy.refill(rate, now);
  return copy.tokens >= static_cast<double>(rate.count);
}

}  // namespace holdfast
