#include "queue/retry_schedule.h"

#include <gtest/gtest.h>

#include "tests/queue/delivery_fixture.h"

namespace holdfast {
namespace {

using std::chrono::minutes;
const std::vector<Millis> kRetry = {minutes(5), minutes(15), minutes(60)};

TEST(RetrySchedule, FollowsTheListAndRepeatsItsLastEntry) {
  SeededRandom random;
  for (int i = 0; i < 100; ++i) {
    for (const auto& [failed, expected] : {std::pair(1U, minutes(5)), std::pair(2U, minutes(15)),
                                           std::pair(3U, minutes(60)), std::pair(9U, minutes(60))}) {
      const Duration delay = retry_delay(kRetry, failed, random);
      EXPECT_GE(delay, Duration(expected) * 9 / 10);
      EXPECT_LE(delay, Duration(expected) * 11 / 10);
    }
  }
}

TEST(RetrySchedule, SpreadsWhatFailedTogether) {
  SeededRandom random;
  const Duration first = retry_delay(kRetry, 1, random);
  bool differs = false;
  for (int i = 0; i < 10; ++i) differs = differs || retry_delay(kRetry, 1, random) != first;
  EXPECT_TRUE(differs);
}

TEST(RetrySchedule, NeverGoesBeyondTheExpiry) {
  SeededRandom random;
  const WallTime now = std::chrono::sys_days(std::chrono::year(2026) / 3 / 1);
  EXPECT_EQ(next_attempt(kRetry, 3, now, now + minutes(7), random), now + minutes(7));
  EXPECT_EQ(next_attempt(kRetry, 3, now, now - minutes(7), random), now);
  EXPECT_GT(next_attempt(kRetry, 1, now, now + std::chrono::hours(100), random), now);
}

TEST(RetrySchedule, DoublesABackOffUpToTheLastEntry) {
  SeededRandom random;
  for (const auto& [level, expected] :
       {std::pair(0U, minutes(5)), std::pair(1U, minutes(10)), std::pair(2U, minutes(20)),
        std::pair(4U, minutes(60)), std::pair(60U, minutes(60))}) {
    const Duration delay = backoff_delay(kRetry, level, random);
    EXPECT_GE(delay, Duration(expected) * 9 / 10);
    EXPECT_LE(delay, Duration(expected) * 11 / 10);
  }
}

TEST(RetrySchedule, TellsTheSenderOnlyWhenAsked) {
  const WallTime now = std::chrono::sys_days(std::chrono::year(2026) / 3 / 1);
  EXPECT_TRUE(delay_notice_due(now - minutes(240), now, minutes(240)));
  EXPECT_FALSE(delay_notice_due(now - minutes(239), now, minutes(240)));
  EXPECT_FALSE(delay_notice_due(now - minutes(999), now, Duration(0)));
}

}  // namespace
}  // namespace holdfast
