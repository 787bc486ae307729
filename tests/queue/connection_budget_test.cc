#include "queue/connection_budget.h"

#include <gtest/gtest.h>

#include <vector>

namespace holdfast {
namespace {

using std::chrono::seconds;

DeliverySettings limits() {
  DeliverySettings d;
  d.connections_per_mx = 4;
  d.connections_total = 6;
  return d;
}
const SteadyTime kNow{std::chrono::hours(1)};

TEST(ConnectionBudget, LimitsConnectionsToOneHostAndInAll) {
  ConnectionBudget budget;
  std::vector<ConnectionBudget::Place> places;
  for (int i = 0; i < 4; ++i) {
    places.push_back(budget.open("mx.a", limits(), kNow));
    EXPECT_TRUE(places.back());
  }
  EXPECT_FALSE(budget.open("mx.a", limits(), kNow));
  EXPECT_FALSE(budget.give_way("mx.a", kNow + seconds(2))) << "whoever was turned away has given up";
  EXPECT_TRUE(budget.give_way("mx.a", kNow));
  EXPECT_FALSE(budget.give_way("mx.a", kNow)) << "one makes room for one";
  places.push_back(budget.open("mx.b", limits(), kNow));
  places.push_back(budget.open("mx.b", limits(), kNow));
  EXPECT_FALSE(budget.open("mx.c", limits(), kNow)) << "six in all";
  places.clear();
  EXPECT_EQ(budget.open_in_all(), 0U);
  EXPECT_TRUE(budget.open("mx.a", limits(), kNow));
}

TEST(ConnectionBudget, GivesWayToAHostThatAsksToSlowDownAndRecovers) {
  ConnectionBudget budget;
  std::vector<ConnectionBudget::Place> places;
  for (int i = 0; i < 4; ++i) places.push_back(budget.open("mx.a", limits(), kNow));
  budget.slow_down("mx.a", limits(), kNow);
  places.pop_back();
  EXPECT_FALSE(budget.open("mx.a", limits(), kNow)) << "two are allowed, three are open";
  places.resize(1);
  EXPECT_TRUE(budget.open("mx.a", limits(), kNow));
  for (int i = 0; i < 3; ++i) places.push_back(budget.open("mx.a", limits(), kNow + seconds(100)));
  EXPECT_EQ(budget.open_to("mx.a"), 4U);
}

TEST(ConnectionBudget, KeepsTheRateOfAHost) {
  ConnectionBudget budget;
  DeliverySettings d = limits();
  d.rate_per_mx = Rate{600, std::chrono::minutes(1)};
  SteadyTime now = kNow;
  unsigned sent = 0;
  while (now < kNow + seconds(60)) {
    SteadyTime at{};
    if (budget.take_message("mx.a", d, now, at)) {
      ++sent;
    } else {
      ASSERT_GT(at, now);
      now = at;
    }
  }
  EXPECT_GE(sent, 595U);
  EXPECT_LE(sent, 615U);
}

TEST(ConnectionBudget, LowersTheRateOfAHostThatAsksToSlowDownAndRaisesItAgain) {
  ConnectionBudget budget;
  DeliverySettings d = limits();
  d.rate_per_mx = Rate{600, std::chrono::minutes(1)};
  const auto sent_within = [&](SteadyTime from, seconds span) {
    unsigned sent = 0;
    for (SteadyTime now = from; now < from + span;) {
      SteadyTime at{};
      if (budget.take_message("mx.a", d, now, at)) {
        ++sent;
      } else {
        now = at;
      }
    }
    return sent;
  };
  const unsigned before = sent_within(kNow, seconds(20));
  budget.slow_down("mx.a", d, kNow + seconds(20));
  const unsigned lowered = sent_within(kNow + seconds(20), seconds(20));
  EXPECT_LT(lowered, before * 2 / 3);
  EXPECT_GT(lowered, 0U);
  const unsigned after = sent_within(kNow + std::chrono::minutes(20), seconds(20));
  EXPECT_GE(after, before * 9 / 10);
}

TEST(ConnectionBudget, DoesNotLimitARateThatIsNotSet) {
  ConnectionBudget budget;
  SteadyTime at{};
  for (int i = 0; i < 10000; ++i) ASSERT_TRUE(budget.take_message("mx.a", limits(), kNow, at));
}

}  // namespace
}  // namespace holdfast
