#include "mta/page/traffic.h"

#include <gtest/gtest.h>

#include <numeric>

namespace holdfast {
namespace {

using namespace std::chrono_literals;

const SteadyTime kStart{1000h};

TEST(Traffic, KnowsNothingBeforeTheFirstLook) { EXPECT_TRUE(TrafficHistory().minutes(kStart).empty()); }

TEST(Traffic, CountsEachMinuteByItself) {
  TrafficHistory history;
  history.note(kStart, 0, 0);
  for (int second = 5; second <= 180; second += 5) {
    // One a second in the first minute, two in the second, none in the third; delivered half as much.
    const auto accepted = static_cast<std::uint64_t>(second <= 60    ? second
                                                     : second <= 120 ? 60 + 2 * (second - 60)
                                                                     : 180);
    history.note(kStart + std::chrono::seconds(second), accepted, accepted / 2);
  }
  const auto minutes = history.minutes(kStart + 180s);
  ASSERT_GE(minutes.size(), 3u);
  EXPECT_EQ(minutes[0].accepted, 0u);
  EXPECT_EQ(minutes[1].accepted, 120u);
  EXPECT_EQ(minutes[1].delivered, 60u);
  EXPECT_EQ(minutes[2].accepted, 60u);
}

TEST(Traffic, ShowsTheLatestNumbersHoweverOftenItIsAsked) {
  TrafficHistory history;
  history.note(kStart, 0, 0);
  for (int i = 1; i <= 1000; ++i) history.note(kStart + 10ms * i, static_cast<std::uint64_t>(i), 0);
  EXPECT_EQ(history.minutes(kStart + 10s).front().accepted, 1000u);
}

TEST(Traffic, ForgetsWhatIsOlderThanAnHour) {
  TrafficHistory history;
  std::uint64_t total = 0;
  for (int second = 0; second <= 3 * 3600; second += 5)
    history.note(kStart + std::chrono::seconds(second), total += 5, 0);
  const auto minutes = history.minutes(kStart + 3h);
  ASSERT_EQ(minutes.size(), TrafficHistory::kMinutes);
  for (const auto& minute : minutes) EXPECT_EQ(minute.accepted, 60u);
}

}  // namespace
}  // namespace holdfast
