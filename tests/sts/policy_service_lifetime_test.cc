// The policy store: how long a policy is kept: by its max_age, over restarts, in a full cache, and on disk.
#include <gtest/gtest.h>

#include "tests/sts/policy_service_fixture.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;

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
