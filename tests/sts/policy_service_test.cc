// The policy store: what stays in force, when it looks, and when it raises the alarm. Refreshes and back-off,
// and how long policies are kept, are in the policy_service_*_test.cc beside it.
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_future.hpp>
#include <future>

#include "smtp/base/workers.h"
#include "tests/sts/policy_service_fixture.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;

TEST_F(PolicyServiceTest, DomainWithoutARecordHasNoPolicyAndIsNotFetched) {
  dns_.txt("_mta-sts.example.com", "v=spf1 -all");
  EXPECT_EQ(lookup().state, State::absent);
  EXPECT_EQ(lookup(false, "other.example").state, State::absent);
  EXPECT_EQ(fetcher_.count(), 0);
}

TEST_F(PolicyServiceTest, RecordMeansAFetchAndThenTheCache) {
  publish("1");
  expect_enforced(lookup(), "1");
  expect_enforced(lookup(), "1");
  EXPECT_EQ(fetcher_.count(), 1);
  EXPECT_EQ(dns_.count("_mta-sts.example.com", RecordType::txt), 1u);
  EXPECT_EQ(metrics_.count("sts_fetch_total{result=ok}"), 1u);
  ASSERT_EQ(log_.events("sts_policy").size(), 1u);
  EXPECT_NE(log_.events("sts_policy")[0].fields.find("\"mode\":\"enforce\""), std::string::npos);
}

TEST_F(PolicyServiceTest, RecordIsLookedAtAtMostOnceAMinute) {
  publish("1");
  for (int i = 0; i < 5; ++i) lookup();
  clock_.advance(59s);
  lookup();
  EXPECT_EQ(dns_.count("_mta-sts.example.com", RecordType::txt), 1u);
  clock_.advance(1s);
  lookup();
  EXPECT_EQ(dns_.count("_mta-sts.example.com", RecordType::txt), 2u);
  EXPECT_EQ(fetcher_.count(), 1);
}

TEST_F(PolicyServiceTest, NewIdIsFetchedAndReplaces) {
  publish("1");
  lookup();
  publish("2");
  fetcher_.serve("enforce", "*.example.net");
  clock_.advance(1min);
  const StsLookup found = lookup();
  expect_enforced(found, "2");
  EXPECT_EQ(found.cached->policy.mx, std::vector<std::string>{"*.example.net"});
  EXPECT_EQ(metrics_.count("sts_downgrade_total"), 0u);
}

// Invariant 21. Seen elsewhere: a cached enforce policy dropped when a new id's fetch fails.
TEST_F(PolicyServiceTest, NewIdWhoseFetchFailsChangesNothingAndRaisesTheAlarmOnce) {
  publish("1");
  lookup();
  publish("poison");
  for (const StsError error :
       {StsError::http_status, StsError::tls_failed, StsError::policy_invalid, StsError::timed_out}) {
    fetcher_.fail(error);
    clock_.advance(2h);
    expect_enforced(lookup(), "1");
  }
  EXPECT_EQ(metrics_.count("sts_downgrade_total"), 1u);
  ASSERT_EQ(log_.events("sts_downgrade").size(), 1u);
  EXPECT_NE(log_.events("sts_downgrade")[0].fields.find("poison"), std::string::npos);
  EXPECT_EQ(metrics_.count("sts_fetch_total{result=tls}"), 1u);
}

TEST_F(PolicyServiceTest, EnforceSurvivesTheLossOfRecordHttpsAndARestart) {
  publish("1");
  lookup();
  fetcher_.fail(StsError::connect_failed);
  const auto lose = std::vector<std::function<void()>>{
      [this] { retract(); },
      [this] {
        retract();
        dns_.txt("_mta-sts.example.com", "v=spf1 -all");
      },
      [this] { dns_.txt("_mta-sts.example.com", "v=STSv1; id=1; id"); }, [this] { dns_fails(); }};
  for (const auto& loss : lose) {
    loss();
    clock_.advance(5h);
    expect_enforced(lookup(), "1");
    expect_enforced(lookup(true), "1");
    restart();
    expect_enforced(lookup(), "1");
  }
  clock_.advance(168h - 20h - 1s);
  expect_enforced(lookup(), "1");
  clock_.advance(1s);
  EXPECT_EQ(lookup().state, State::unknown);  // expired, and DNS still fails
}

TEST_F(PolicyServiceTest, VanishedRecordRaisesTheAlarmOnce) {
  publish("1");
  lookup();
  retract();
  for (int i = 0; i < 3; ++i) {
    clock_.advance(1min);
    expect_enforced(lookup(), "1");
  }
  EXPECT_EQ(log_.events("sts_downgrade").size(), 1u);
  publish("1");
  clock_.advance(1min);
  lookup();
  retract();
  clock_.advance(1min);
  lookup();
  EXPECT_EQ(log_.events("sts_downgrade").size(), 2u);
}

TEST_F(PolicyServiceTest, WeakerPolicyIsTakenAndRaisesTheAlarm) {
  for (const std::string mode : {"testing", "none"}) {
    const std::string name = mode + ".example";
    publish("1", name);
    fetcher_.serve("enforce");
    lookup(false, name);
    publish("2", name);
    fetcher_.serve(mode);
    clock_.advance(1min);
    EXPECT_EQ(lookup(false, name).cached->id, "2");
  }
  EXPECT_EQ(log_.events("sts_downgrade").size(), 2u);
}

TEST_F(PolicyServiceTest, FetchFailureWithNothingCachedIsAbsentWithTheReason) {
  publish("1");
  fetcher_.fail(StsError::http_media_type);
  const StsLookup found = lookup();
  EXPECT_EQ(found.state, State::absent);
  EXPECT_EQ(found.fetch_failure, StsError::http_media_type);
  EXPECT_NE(found.detail, "");
  EXPECT_EQ(lookup().fetch_failure, StsError::http_media_type);
}

TEST_F(PolicyServiceTest, UnknownRecordWithNothingCachedIsUnknown) {
  dns_fails();
  EXPECT_EQ(lookup().state, State::unknown);
  dns_.heal("_mta-sts.example.com");
  publish("1");
  EXPECT_EQ(lookup().state, State::unknown);  // within the minute
  clock_.advance(1min);
  expect_enforced(lookup(), "1");
}

TEST_F(PolicyServiceTest, InvalidRecordIsAsNone) {
  dns_.txt("_mta-sts.example.com", "v=STSv1; id=1");
  dns_.txt("_mta-sts.example.com", "v=STSv1; id=2");
  const StsLookup found = lookup();
  EXPECT_EQ(found.state, State::absent);
  EXPECT_NE(found.detail.find("2 records"), std::string::npos);
}

TEST_F(PolicyServiceTest, ConcurrentLookupsAreOneFetch) {
  publish("1");
  fetcher_.held = true;
  int done = 0;
  const auto one = [&]() -> asio::awaitable<void> {
    const StsLookup found = co_await service_->lookup(domain(), false);
    EXPECT_EQ(found.state, State::present);
    ++done;
  };
  for (int i = 0; i < 20; ++i) asio::co_spawn(context_, one(), asio::detached);
  settle(context_);
  EXPECT_EQ(done, 0);
  EXPECT_EQ(fetcher_.count(), 1);
  fetcher_.held = false;
  fetcher_.released.notify();
  settle(context_);
  EXPECT_EQ(done, 20);
  EXPECT_EQ(fetcher_.count(), 1);
  EXPECT_EQ(dns_.count("_mta-sts.example.com", RecordType::txt), 1u);
}

TEST_F(PolicyServiceTest, StopEndsWhoWaits) {
  publish("1");
  fetcher_.held = true;
  StsLookup found;
  bool done = false;
  const auto waiter = [&]() -> asio::awaitable<void> {
    found = co_await service_->lookup(domain(), false);
    done = true;
  };
  asio::co_spawn(context_, waiter(), asio::detached);
  settle(context_);
  run(context_, service_->stop());
  settle(context_);
  EXPECT_TRUE(done);
  EXPECT_EQ(found.state, State::unknown);  // nothing was learned, so nobody may go on as without policy
}

TEST_F(PolicyServiceTest, NamesTooLongForARecordHaveNone) {
  const std::string label(63, 'a');
  const std::string name = label + "." + label + "." + label + "." + std::string(58, 'b');
  EXPECT_EQ(lookup(false, name).state, State::absent);
}

// As in the relay: the service on its own thread, asked from the threads of all workers.
TEST_F(PolicyServiceTest, LookupsFromAllWorkersAreOneFetchPerDomain) {
  stop();
  constexpr int kDomains = 20, kRounds = 25;
  for (int i = 0; i < kDomains; ++i) publish("1", "d" + std::to_string(i) + ".example");
  Workers workers(3, 1);
  cache_ = open_policy_cache(directory_ / "sts.db", log_).value();
  PolicyService::Parts parts{workers.shared(), workers.blocking(), clock_, random_, dns_, fetcher_,
                             *cache_,          settings_,          log_,   metrics_};
  PolicyService service(parts);
  ASSERT_TRUE(service.load());
  service.start();
  std::atomic<int> present = 0;
  const auto ask = [&](int i) -> asio::awaitable<void> {
    const StsLookup found = co_await service.lookup(domain("d" + std::to_string(i) + ".example"), false);
    present += found.state == State::present;
  };
  std::vector<std::future<void>> asked;
  for (int round = 0; round < kRounds; ++round) {
    for (int i = 0; i < kDomains; ++i) {
      asked.push_back(asio::co_spawn(workers.worker(static_cast<std::size_t>(round) % workers.size()), ask(i),
                                     asio::use_future));
    }
  }
  for (auto& one : asked) one.get();
  EXPECT_EQ(present, kDomains * kRounds);
  for (int i = 0; i < kDomains; ++i) EXPECT_EQ(fetcher_.count("d" + std::to_string(i) + ".example"), 1);
  asio::co_spawn(workers.worker(0), service.stop(), asio::use_future).get();
  workers.stop();
}

}  // namespace
}  // namespace holdfast
