// The policy store: when it fetches again, by itself or when asked, and how a failing fetch backs off.
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "tests/sts/policy_service_fixture.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;

TEST_F(PolicyServiceTest, FailedFetchIsNotRepeatedFor5MinutesThenBacksOffUpToAnHour) {
  publish("1");
  fetcher_.fail(StsError::http_status);
  std::vector<Duration> gaps;
  SteadyTime last = clock_.now();
  lookup();
  for (int fetches = 1; gaps.size() < 7; clock_.advance(1min)) {
    EXPECT_EQ(lookup().fetch_failure, StsError::http_status);
    if (fetcher_.count() == fetches) continue;
    ++fetches;
    gaps.push_back(clock_.now() - last);
    last = clock_.now();
  }
  EXPECT_EQ(gaps, (std::vector<Duration>{5min, 10min, 20min, 40min, 1h, 1h, 1h}));
  fetcher_.serve("enforce");
  clock_.advance(1h);
  expect_enforced(lookup(), "1");
}

TEST_F(PolicyServiceTest, NewIdStartsItsBackOffAnew) {
  publish("1");
  fetcher_.fail(StsError::http_status);
  lookup();
  publish("2");
  clock_.advance(1min);
  lookup();
  EXPECT_EQ(fetcher_.count(), 2);
  clock_.advance(5min);
  lookup();
  EXPECT_EQ(fetcher_.count(), 3);
}

TEST_F(PolicyServiceTest, RefreshUnderWayHoldsNobodyUp) {
  publish("1");
  lookup();
  fetcher_.held = true;
  bool refreshed = false;
  const auto forced = [&]() -> asio::awaitable<void> {
    co_await service_->refresh(domain());
    refreshed = true;
  };
  asio::co_spawn(context_, forced(), asio::detached);
  settle(context_);
  expect_enforced(lookup(), "1");
  EXPECT_FALSE(refreshed);
  fetcher_.held = false;
  fetcher_.released.notify();
  settle(context_);
  EXPECT_TRUE(refreshed);
}

TEST_F(PolicyServiceTest, FreshLooksAtRecordAndPolicyNow) {
  publish("1");
  lookup();
  publish("2");
  expect_enforced(lookup(true), "2");
  EXPECT_EQ(fetcher_.count(), 2);
  lookup(true);  // the same id: the policy is looked at all the same
  EXPECT_EQ(fetcher_.count(), 3);
}

TEST_F(PolicyServiceTest, FreshKeepsTheBackOff) {
  publish("1");
  fetcher_.fail(StsError::timed_out);
  lookup();
  EXPECT_EQ(lookup(true).fetch_failure, StsError::timed_out);
  EXPECT_EQ(fetcher_.count(), 1);
}

TEST_F(PolicyServiceTest, RefreshFetchesAtOnceADomainNeverSeenAndDespiteBackOff) {
  publish("1", "new.example");
  EXPECT_EQ(refresh("new.example").state, State::present);
  publish("1");
  fetcher_.fail(StsError::timed_out);
  lookup();
  refresh();
  EXPECT_EQ(fetcher_.count(), 2);
  EXPECT_EQ(refresh("nothing.example").state, State::absent);
  EXPECT_EQ(fetcher_.count("nothing.example"), 0);
}

// The policy host goes on answering, so each refresh succeeds.
TEST_F(PolicyServiceTest, RefreshesOfADomainWhoseRecordVanishedRaiseNoFurtherAlarm) {
  publish("1");
  lookup();
  retract();
  for (int i = 0; i < 3; ++i) {
    clock_.advance(1min);
    EXPECT_EQ(refresh().state, State::present);
  }
  EXPECT_EQ(log_.events("sts_downgrade").size(), 1u);
}

TEST_F(PolicyServiceTest, RefreshesByItselfOnceADayAlsoWhileTheRecordCannotBeHad) {
  publish("1");
  lookup();
  service_->start();
  settle(context_);
  dns_fails();
  pass(21h);
  EXPECT_EQ(fetcher_.count(), 1);
  pass(4h);
  EXPECT_EQ(fetcher_.count(), 2);
  pass(24h * 13, 10min);  // a week after max_age of the first fetch
  expect_enforced(lookup(), "1");
  EXPECT_GE(fetcher_.count(), 14);
}

TEST_F(PolicyServiceTest, ShortLivedPolicyIsRefreshedBeforeItExpires) {
  publish("1");
  fetcher_.serve("enforce", "mx.example.com", "3600");
  lookup();
  service_->start();
  settle(context_);
  for (int i = 0; i < 300; ++i) {
    pass(1min);
    ASSERT_EQ(entries(), 1u);
  }
}

TEST_F(PolicyServiceTest, FailingRefreshBacksOffAndThePolicyExpiresInItsTime) {
  publish("1");
  fetcher_.serve("enforce", "mx.example.com", "172800");
  lookup();
  service_->start();
  settle(context_);
  fetcher_.fail(StsError::connect_failed);
  pass(48h - 1min);
  EXPECT_EQ(entries(), 1u);
  EXPECT_GT(fetcher_.count(), 10);
  EXPECT_LT(fetcher_.count(), 40);
  EXPECT_EQ(metrics_.count("sts_downgrade_total"), 0u);
  pass(2min);
  EXPECT_EQ(entries(), 0u);
  restart();
  EXPECT_EQ(entries(), 0u);
}

}  // namespace
}  // namespace holdfast
