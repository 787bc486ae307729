// A relay that starts under a wrong clock: what it does then must not outlast the mistake. And rows of
// policies that expired, which is what a clock ahead of its time makes of all.
#include <gtest/gtest.h>

#include "tests/sts/policy_service_fixture.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
constexpr auto kYear = std::chrono::hours(24 * 365);

class PolicyClockTest : public PolicyServiceTest {
 protected:
  // Restarts with the system's clock set by this much.
  void restart_with_clock_moved(Duration by) {
    stop();
    clock_.jump_wall(by);
    restart();
  }
  std::size_t rows_on_disk() { return cache_->load().value().size(); }
};

TEST_F(PolicyClockTest, AStartWithTheClockAheadForgetsNoPolicy) {
  publish("1");
  lookup();
  restart_with_clock_moved(kYear);
  EXPECT_EQ(entries(), 0u);  // as far as it can know
  service_->start();
  settle(context_);
  pass(10min);
  restart_with_clock_moved(-kYear);
  dns_fails();
  expect_enforced(lookup(), "1");
}

TEST_F(PolicyClockTest, APolicyThatRunsOutOnlyBecauseTheClockWasAheadAtStartIsKeptOnDiskToo) {
  publish("1");
  lookup();
  restart_with_clock_moved(std::chrono::hours(24 * 7) - 1h);
  EXPECT_EQ(entries(), 1u);
  fetcher_.fail(StsError::connect_failed);
  dns_fails();
  service_->start();
  settle(context_);
  pass(2h);
  EXPECT_EQ(entries(), 0u);
  restart_with_clock_moved(-std::chrono::hours(24 * 7));
  expect_enforced(lookup(), "1");
}

TEST_F(PolicyClockTest, APolicyFetchedUnderAClockAheadHoldsForItsMaxAgeFromNow) {
  restart_with_clock_moved(kYear);
  publish("1");
  lookup();
  restart_with_clock_moved(-kYear);
  const auto kept = run(context_, service_->entries());
  ASSERT_EQ(kept.size(), 1u);
  EXPECT_LE(kept[0].cached.fetched, clock_.wall());
  EXPECT_EQ(kept[0].cached.expires, clock_.wall() + std::chrono::seconds(604800));
  EXPECT_LE(kept[0].refresh, clock_.wall() + 10min);  // what was seen under that clock is looked at anew
  fetcher_.fail(StsError::connect_failed);
  dns_fails();
  clock_.advance(std::chrono::hours(24 * 7) - 1min);
  expect_enforced(lookup(), "1");
  clock_.advance(2min);
  EXPECT_EQ(lookup().state, State::unknown);
}

TEST_F(PolicyClockTest, AStartWithTheClockBehindSpoilsNothingOnDisk) {
  publish("1");
  lookup();
  restart_with_clock_moved(-kYear);
  expect_enforced(lookup(), "1");
  restart_with_clock_moved(kYear);
  const auto kept = run(context_, service_->entries());
  ASSERT_EQ(kept.size(), 1u);
  EXPECT_EQ(kept[0].cached.expires, kept[0].cached.fetched + std::chrono::seconds(604800));
}

TEST_F(PolicyClockTest, RowsOfExpiredPoliciesGoAfterSomeDaysOfRunning) {
  fetcher_.serve("enforce", "mx.example.com", "3600");
  publish("1");
  lookup();
  fetcher_.fail(StsError::connect_failed);
  service_->start();
  settle(context_);
  pass(2h);
  EXPECT_EQ(entries(), 0u);
  EXPECT_EQ(rows_on_disk(), 1u);
  pass(std::chrono::hours(24 * 8), 10min);
  EXPECT_EQ(rows_on_disk(), 0u);
}

TEST_F(PolicyClockTest, AnExpiredRowThatWasFetchedAgainStays) {
  fetcher_.serve("enforce", "mx.example.com", "3600");
  publish("1");
  lookup();
  fetcher_.fail(StsError::connect_failed);
  service_->start();
  settle(context_);
  pass(2h);
  fetcher_.serve("enforce", "mx.example.com", "31557600");
  expect_enforced(lookup(), "1");
  fetcher_.fail(StsError::connect_failed);
  pass(std::chrono::hours(24 * 8), 10min);
  EXPECT_EQ(rows_on_disk(), 1u);
}

TEST_F(PolicyClockTest, ExpiredRowsAreBoundedInNumber) {
  restart({.domains = 10, .octets = 1 << 20});
  fetcher_.serve("enforce", "mx.example.com", "3600");
  service_->start();
  settle(context_);
  for (int i = 0; i < 40; ++i) {
    const std::string name = "d" + std::to_string(i) + ".example";
    publish("1", name);
    fetcher_.serve("enforce", "mx.example.com", "3600");
    lookup(false, name);
    fetcher_.fail(StsError::connect_failed);
    pass(62min);
  }
  EXPECT_LE(rows_on_disk(), 11u);
  EXPECT_GE(rows_on_disk(), 9u);
  stop();
  clock_.jump_wall(kYear);
  restart({.domains = 5, .octets = 1 << 20});
  EXPECT_EQ(rows_on_disk(), 5u);
}

}  // namespace
}  // namespace holdfast
