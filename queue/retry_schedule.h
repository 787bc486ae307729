// queue/retry_schedule.h — when a recipient is tried again, and when it is too late. Pure: time and
// randomness are arguments. All times live on the relay's Timeline, so that a jump of the wall clock neither
// expires nor starves.
#pragma once

#include <vector>

#include "config/settings.h"
#include "smtp/base/clock.h"
#include "smtp/base/random.h"

namespace holdfast {

// `delay` made 10 % shorter or longer at the most, so that what failed together does not come back together.
Duration with_jitter(Duration delay, Random& random);

// The pause after the `failed`-th attempt (1 = the first) by `delivery.retry`, whose last entry repeats;
// jittered.
Duration retry_delay(const std::vector<Millis>& retry, unsigned failed, Random& random);

// When a recipient that failed for the `failed`-th time is due again. Never after `expires`: at that moment
// it is due once more, to be ended at its own time.
WallTime next_attempt(const std::vector<Millis>& retry, unsigned failed, WallTime now, WallTime expires,
                      Random& random);

// The pause of a destination that failed `level` + 1 times in a row: the first entry of `retry`, doubled each
// time up to its last entry; jittered.
Duration backoff_delay(const std::vector<Millis>& retry, unsigned level, Random& random);

// Has a message waited so long that its sender should know (`delivery.delay_notice_after`, 0 = never)?
bool delay_notice_due(WallTime accepted, WallTime now, Duration after);

}  // namespace holdfast
