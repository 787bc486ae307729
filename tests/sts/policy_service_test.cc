// The policy store: what stays in force, when it looks and fetches again, and when it raises the alarm.
#include "sts/policy_service.h"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_future.hpp>
#include <filesystem>
#include <future>
#include <random>

#include "smtp/base/base_error.h"
#include "smtp/base/notifier.h"
#include "smtp/base/workers.h"
#include "sts/policy_cache.h"
#include "tests/fakes/capture.h"
#include "tests/fakes/fixed_settings.h"
#include "tests/fakes/run.h"
#include "tests/fakes/zone_resolver.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using State = StsLookup::State;

// What the policy host would serve; a fetch can be held up to see who waits for it.
class FakeFetcher final : public PolicyFetcher {
 public:
  asio::awaitable<Result<StsPolicy>> fetch(DomainName domain) override {
    ++fetches[domain.text()];
    while (held) {
      const bool notified = co_await released.wait();
      if (!notified) break;
    }
    const auto stopped = co_await is_cancelled();
    if (stopped) co_return BaseError::cancelled;
    if (error) co_return *error;
    co_return StsPolicy::parse(text);
  }
  int count(const std::string& domain = "example.com") { return fetches[domain]; }
  void fail(StsError e) { error.emplace(e, "the test says so"); }
  void serve(std::string mode, std::string mx = "mx.example.com", std::string max_age = "604800") {
    error.reset();
    text = "version: STSv1\nmode: " + mode + "\nmx: " + mx + "\nmax_age: " + max_age + "\n";
  }

  std::map<std::string, int> fetches;
  std::optional<Error> error;
  std::string text;
  bool held = false;
  Notifier released;
};

class FixedRandom final : public Random {
 public:
  std::uint64_t next() override { return engine_(); }

 private:
  std::mt19937_64 engine_{7};
};

Settings sts_settings() {
  Settings settings;
  settings.sts.refresh = 24h;
  settings.sts.fetch_timeout = 60s;
  return settings;
}

class PolicyServiceTest : public testing::Test {
 protected:
  PolicyServiceTest() {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    directory_ = std::filesystem::temp_directory_path() /
                 ("holdfast-sts-" + std::to_string(getpid()) + "-" + test->name());
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
    fetcher_.serve("enforce");
    restart();
  }
  ~PolicyServiceTest() override {
    stop();
    std::filesystem::remove_all(directory_);
  }

  void restart(PolicyService::Limits limits = {}) {
    stop();
    cache_ = open_policy_cache(directory_ / "sts.db", log_).value();
    PolicyService::Parts parts{context_.get_executor(),
                               context_.get_executor(),
                               clock_,
                               random_,
                               dns_,
                               fetcher_,
                               *cache_,
                               settings_,
                               log_,
                               metrics_};
    service_ = std::make_unique<PolicyService>(parts, limits);
    ASSERT_TRUE(service_->load());
  }
  void stop() {
    if (service_) run(context_, service_->stop());
    service_.reset();
    cache_.reset();
  }

  static DomainName domain(const std::string& text = "example.com") {
    return DomainName::parse(text).value();
  }
  void publish(const std::string& id, const std::string& name = "example.com") {
    retract(name);
    dns_.txt("_mta-sts." + name, "v=STSv1; id=" + id + ";");
  }
  void retract(const std::string& name = "example.com") { dns_.remove("_mta-sts." + name, RecordType::txt); }
  void dns_fails(const std::string& name = "example.com") {
    dns_.fail("_mta-sts." + name, DnsStatus::server_failure);
  }
  StsLookup lookup(bool fresh = false, const std::string& name = "example.com") {
    return run(context_, service_->lookup(domain(name), fresh));
  }
  StsLookup refresh(const std::string& name = "example.com") {
    return run(context_, service_->refresh(domain(name)));
  }
  std::size_t entries() { return run(context_, service_->entries()).size(); }
  void expect_enforced(const StsLookup& found, const std::string& id) {
    ASSERT_EQ(found.state, State::present) << found.detail;
    EXPECT_EQ(found.cached->policy.mode, StsMode::enforce);
    EXPECT_EQ(found.cached->id, id);
    EXPECT_FALSE(found.fetch_failure);
  }
  // Lets time pass in steps, as sweeps see it.
  void pass(Duration time, Duration step = 1min) {
    for (Duration passed{}; passed < time; passed += step) {
      clock_.advance(step);
      settle(context_);
    }
  }

  asio::io_context context_;
  FakeClock clock_;
  FixedRandom random_;
  ZoneResolver dns_;
  FakeFetcher fetcher_;
  FixedSettings settings_{sts_settings()};
  CapturingLog log_;
  CapturingMetrics metrics_;
  std::filesystem::path directory_;
  std::unique_ptr<PolicyCache> cache_;
  std::unique_ptr<PolicyService> service_;
};

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

TEST_F(PolicyServiceTest, MaxAgeRestartsAtEachFetch) {
  publish("1");
  fetcher_.serve("enforce", "mx.example.com", "7200");
  lookup();
  clock_.advance(1h);
  lookup(true);
  clock_.advance(1h + 59min);
  fetcher_.fail(StsError::connect_failed);
  dns_fails();
  expect_enforced(lookup(), "1");
  clock_.advance(1min);
  EXPECT_EQ(lookup().state, State::unknown);
}

TEST_F(PolicyServiceTest, PolicyThatRanOutSinceTheLastLookIsFetchedAgain) {
  publish("1");
  fetcher_.serve("enforce", "mx.example.com", "90");
  lookup();
  clock_.advance(60s);
  lookup();
  clock_.advance(30s);
  expect_enforced(lookup(), "1");
  EXPECT_EQ(fetcher_.count(), 2);
}

TEST_F(PolicyServiceTest, MaxAgeOfZeroHoldsForTheLookupAtHand) {
  publish("1");
  fetcher_.serve("enforce", "mx.example.com", "0");
  expect_enforced(lookup(), "1");
  clock_.advance(1min);
  fetcher_.fail(StsError::http_status);
  EXPECT_EQ(lookup().state, State::absent);
}

TEST_F(PolicyServiceTest, WallClockJumpsDoNotEndAPolicy) {
  publish("1");
  lookup();
  dns_fails();
  clock_.jump_wall(std::chrono::hours(24 * 365));
  clock_.advance(1h);
  expect_enforced(lookup(), "1");
  clock_.jump_wall(-std::chrono::hours(24 * 730));
  clock_.advance(1h);
  expect_enforced(lookup(), "1");
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

TEST_F(PolicyServiceTest, RestartKeepsPoliciesAndForgetsTheExpired) {
  publish("1");
  publish("9", "short.example");
  lookup();
  fetcher_.serve("testing", "mx.example.com", "60");
  lookup(false, "short.example");
  clock_.advance(1h);
  restart();
  const auto kept = run(context_, service_->entries());
  ASSERT_EQ(kept.size(), 1u);
  EXPECT_EQ(kept[0].cached.domain, domain());
  EXPECT_EQ(kept[0].cached.policy.lines.size(), 4u);
  EXPECT_EQ(kept[0].source, "cache");
  EXPECT_EQ(kept[0].cached.expires - kept[0].cached.fetched, std::chrono::seconds(604800));
}

TEST_F(PolicyServiceTest, FullCacheGivesUpAnythingBeforeAnEnforcePolicyInForce) {
  restart({.domains = 10, .octets = 1 << 20});
  for (int i = 0; i < 5; ++i) {
    publish("1", "enforce" + std::to_string(i) + ".example");
    lookup(false, "enforce" + std::to_string(i) + ".example");
    clock_.advance(1s);
  }
  fetcher_.serve("testing");
  for (int i = 0; i < 30; ++i) {
    publish("1", "testing" + std::to_string(i) + ".example");
    lookup(false, "testing" + std::to_string(i) + ".example");
    lookup(false, "nothing" + std::to_string(i) + ".example");
    clock_.advance(1s);
  }
  int enforce = 0;
  for (const PolicyEntry& entry : run(context_, service_->entries()))
    enforce += entry.cached.policy.mode == StsMode::enforce;
  EXPECT_EQ(enforce, 5);
  EXPECT_LE(entries(), 10u);
  restart({.domains = 10, .octets = 1 << 20});
  EXPECT_LE(entries(), 10u);
  EXPECT_GE(entries(), 5u);
}

TEST_F(PolicyServiceTest, CacheIsBoundedInOctetsToo) {
  restart({.domains = 1000, .octets = 20000});
  fetcher_.text += "x: " + std::string(4000, 'x') + "\n";
  for (int i = 0; i < 20; ++i) {
    publish("1", "d" + std::to_string(i) + ".example");
    expect_enforced(lookup(false, "d" + std::to_string(i) + ".example"), "1");
    clock_.advance(1s);
  }
  EXPECT_EQ(entries(), 4u);
  EXPECT_TRUE(log_.holds("full of enforce policies"));
}

TEST_F(PolicyServiceTest, FlushForgetsOnDiskToo) {
  publish("1");
  lookup();
  publish("1", "other.example");
  lookup(false, "other.example");
  EXPECT_EQ(run(context_, service_->flush(domain())), 1u);
  restart();
  ASSERT_EQ(entries(), 1u);
  EXPECT_EQ(run(context_, service_->flush(std::nullopt)), 1u);
  restart();
  EXPECT_EQ(entries(), 0u);
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

// --- the durable part alone ---

TEST_F(PolicyServiceTest, DamagedRowIsPassedOverAndTheOthersStay) {
  stop();
  auto cache = open_policy_cache(directory_ / "rows.db", log_).value();
  CachedPolicy good;
  good.domain = domain();
  good.id = "1";
  good.policy = StsPolicy::parse("version: STSv1\nmode: none\nmax_age: 1\n").value();
  CachedPolicy bad = good;
  bad.domain = domain("bad.example");
  bad.policy.lines = {"junk"};
  ASSERT_TRUE(cache->put(bad));
  ASSERT_TRUE(cache->put(good));
  const auto rows = cache->load().value();
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].policy, good.policy);
  EXPECT_TRUE(log_.holds("bad.example"));
}

TEST_F(PolicyServiceTest, FileThatIsNoDatabaseIsAnError) {
  std::FILE* file = std::fopen((directory_ / "junk.db").c_str(), "w");
  std::fputs("this is not a database, but it is long enough to look at, really it is", file);
  std::fclose(file);
  EXPECT_FALSE(open_policy_cache(directory_ / "junk.db", log_));
}

}  // namespace
}  // namespace holdfast
