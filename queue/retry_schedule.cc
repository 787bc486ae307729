#include "queue/retry_schedule.h"

#include <algorithm>

namespace holdfast {
namespace {

// The schema refuses an empty list; this only keeps the arithmetic total.
constexpr Duration kDefaultDelay = std::chrono::minutes(15);
// A list of zeros would make a failing recipient spin.
constexpr Duration kSmallestDelay = std::chrono::milliseconds(10);

}  // namespace

Duration with_jitter(Duration delay, Random& random) {
  const double factor = 0.9 + 0.2 * random.unit();
  return Duration(static_cast<Duration::rep>(static_cast<double>(delay.count()) * factor));
}

Duration retry_delay(const std::vector<Millis>& retry, unsigned failed, Random& random) {
  Duration delay = kDefaultDelay;
  if (!retry.empty()) delay = retry[std::min<std::size_t>(failed == 0 ? 0 : failed - 1, retry.size() - 1)];
  return with_jitter(std::max(delay, kSmallestDelay), random);
}

WallTime next_attempt(const std::vector<Millis>& retry, unsigned failed, WallTime now, WallTime expires,
                      Random& random) {
  const auto delay = std::chrono::ceil<std::chrono::microseconds>(retry_delay(retry, failed, random));
  return std::max(now, std::min(now + delay, expires));
}

Duration backoff_delay(const std::vector<Millis>& retry, unsigned level, Random& random) {
  const Duration first = retry.empty() ? kDefaultDelay : Duration(retry.front());
  const Duration last = retry.empty() ? kDefaultDelay : std::max(first, Duration(retry.back()));
  Duration delay = std::max(first, kSmallestDelay);
  for (unsigned i = 0; i < level && delay < last; ++i) delay = std::min(delay * 2, last);
  return with_jitter(delay, random);
}

bool delay_notice_due(WallTime accepted, WallTime now, Duration after) {
  return after.count() > 0 && now - accepted >= after;
}

}  // namespace holdfast
