#include "queue/destination.h"

#include <gtest/gtest.h>

#include "queue/destination_table.h"
#include "tests/queue/delivery_fixture.h"

namespace holdfast {
namespace {

Claim claim_for(const std::string& domain, std::uint64_t token, TlsClass tls = {}) {
  auto meta = std::make_shared<MessageMeta>();
  meta->tls = tls;
  for (std::size_t i = 0; i < 8; ++i) meta->id.bytes[15 - i] = static_cast<std::uint8_t>(token >> (8 * i));
  Claim claim;
  claim.token = ClaimToken{token};
  claim.meta = meta;
  claim.domain = domain;
  ClaimedRecipient r;
  r.id = token;
  claim.recipients.push_back(r);
  return claim;
}

GrantReport report(GrantReport::How how, bool policy = false) {
  GrantReport r;
  r.how = how;
  r.reply = "why";
  r.policy = policy;
  return r;
}

class DestinationTest : public ::testing::Test {
 protected:
  void fill(std::size_t n, TlsClass tls = {}) {
    for (std::size_t i = 0; i < n; ++i) d.push(claim_for("a.example", ++token, tls));
  }
  std::vector<Claim> take() { return d.take(now, 20, lane); }
  bool finish(GrantReport::How how, bool policy = false) {
    return d.finished(lane, report(how, policy), now, settings, random);
  }

  SteadyTime now{std::chrono::hours(1)};
  Destination d{"a.example", "a.example", nullptr, now};
  DeliverySettings settings = delivery_settings().delivery;
  SeededRandom random;
  LaneKind lane = LaneKind::plain;
  std::uint64_t token = 0;
};

TEST_F(DestinationTest, StartsWithFewPermitsAndGrowsBySuccess) {
  fill(1000);
  unsigned permits = 0;
  while (!take().empty()) ++permits;
  EXPECT_EQ(permits, kInitialConcurrency);
  finish(GrantReport::How::reached);
  EXPECT_EQ(d.concurrency(20), kInitialConcurrency + 1);
  for (int i = 0; i < 100; ++i) {
    take();
    finish(GrantReport::How::reached);
  }
  EXPECT_EQ(d.concurrency(20), 20U) << "never above connections_per_destination";
  EXPECT_EQ(d.concurrency(3), 3U);
}

TEST_F(DestinationTest, DoublesWhileAllSucceedAsFarAsItIsAllowed) {
  settings.connections_per_destination = 200;
  fill(2000);
  std::vector<unsigned> rounds;
  while (d.concurrency(200) < 200) {
    unsigned permits = 0;
    while (!d.take(now, 200, lane).empty()) ++permits;
    for (unsigned i = 0; i < permits; ++i) {
      d.paced(1, std::chrono::milliseconds(100));
      finish(GrantReport::How::reached);
    }
    rounds.push_back(permits);
  }
  EXPECT_EQ(rounds, (std::vector<unsigned>{5, 10, 20, 40, 80, 160}));
}

TEST_F(DestinationTest, GivesASlowDestinationsPermitOneMessageAndAQuickOnesMany) {
  fill(1000);
  EXPECT_EQ(take().size(), 1U) << "it is not known yet";
  d.paced(1, std::chrono::milliseconds(100));
  EXPECT_EQ(take().size(), 1U);
  for (int i = 0; i < 40; ++i) d.paced(16, std::chrono::milliseconds(160));
  EXPECT_NEAR(static_cast<double>(take().size()), 10, 1) << "10 ms each of late: what goes in 100 ms";
  for (int i = 0; i < 40; ++i) d.paced(10, std::chrono::milliseconds(10));
  EXPECT_EQ(take().size(), kClaimsPerGrant);
  for (int i = 0; i < 40; ++i) d.paced(1, std::chrono::seconds(20));
  EXPECT_EQ(take().size(), 1U) << "never none";
}

TEST_F(DestinationTest, HandsOutSmallBatchesEvenly) {
  d.paced(1, std::chrono::milliseconds(1));
  fill(10);
  EXPECT_EQ(take().size(), 2U) << "ten claims, five permits";
  fill(1000);
  EXPECT_EQ(take().size(), kClaimsPerGrant);
}

TEST_F(DestinationTest, KeepsTheClaimsOfOneMessageTogether) {
  token = 100;
  const Claim first = claim_for("a.example", 1);
  for (const char* domain : {"a.example", "b.example", "c.example"}) {
    Claim claim = claim_for(domain, 1);
    claim.meta = first.meta;
    d.push(std::move(claim));
  }
  fill(1);
  EXPECT_EQ(take().size(), 3U);
}

TEST_F(DestinationTest, ShrinksOnFailureAndBacksOffOnceDead) {
  fill(100);
  for (unsigned i = 1; i < kFailuresUntilDead; ++i) {
    take();
    EXPECT_FALSE(finish(GrantReport::How::failed));
  }
  EXPECT_LT(d.concurrency(20), kInitialConcurrency);
  take();
  EXPECT_TRUE(finish(GrantReport::How::failed));
  EXPECT_TRUE(d.blocked_until(LaneKind::plain, now));
  EXPECT_FALSE(d.runnable(now, 20));
  EXPECT_EQ(d.failure(LaneKind::plain), "why");
}

TEST_F(DestinationTest, ProbesWithOneDeliveryAfterABackOffAndDoublesIt) {
  fill(100);
  for (unsigned i = 0; i < kFailuresUntilDead; ++i) {
    take();
    finish(GrantReport::How::failed);
  }
  const Duration first = *d.blocked_until(LaneKind::plain, now) - now;
  now += first;
  EXPECT_EQ(take().size(), 1U);
  EXPECT_TRUE(take().empty()) << "one probe at a time";
  EXPECT_TRUE(finish(GrantReport::How::failed)) << "one failure is enough now";
  const Duration second = *d.blocked_until(LaneKind::plain, now) - now;
  EXPECT_GT(second, first * 3 / 2);
  now += second;
  take();
  finish(GrantReport::How::reached);
  EXPECT_FALSE(take().empty());
  EXPECT_FALSE(take().empty()) << "open again";
}

TEST_F(DestinationTest, KeepsWhatMessagesAskOfTlsApart) {
  TlsClass requiretls;
  requiretls.requiretls = true;
  fill(5, requiretls);
  for (unsigned i = 0; i < kFailuresUntilDead; ++i) {
    take();
    finish(GrantReport::How::failed, true);
  }
  EXPECT_TRUE(d.blocked_by_policy(LaneKind::requiretls));
  fill(5);
  EXPECT_FALSE(take().empty()) << "ordinary mail goes on";
  EXPECT_EQ(lane, LaneKind::plain);
}

TEST_F(DestinationTest, DoesNotCountBusyAndCancelledAgainstTheDestination) {
  fill(100);
  for (int i = 0; i < 10; ++i) {
    now += std::chrono::seconds(1);
    ASSERT_FALSE(take().empty());
    finish(i % 2 == 0 ? GrantReport::How::busy : GrantReport::How::aborted);
  }
  EXPECT_EQ(d.concurrency(20), kInitialConcurrency);
  EXPECT_FALSE(d.blocked_until(LaneKind::plain, now));
}

TEST_F(DestinationTest, WaitsLongerEachTimeItsMxHostsAreBusy) {
  fill(50);
  Duration before{0};
  for (int i = 0; i < 4; ++i) {
    ASSERT_FALSE(take().empty());
    finish(GrantReport::How::busy);
    EXPECT_FALSE(d.runnable(now, 20)) << "or it would ask again and again";
    const Duration pause = d.held_until() - now;
    EXPECT_GT(pause, before);
    EXPECT_LT(pause, std::chrono::seconds(1));
    before = pause;
    now += pause;
  }
}

TEST_F(DestinationTest, GivesThePermitToTheWorkerThatHoldsAConnection) {
  d.warm(3, now);
  d.warm(1, now + std::chrono::seconds(1));
  now += std::chrono::seconds(2);
  EXPECT_EQ(d.take_warm(now, std::chrono::seconds(10)), 1U);
  EXPECT_EQ(d.take_warm(now, std::chrono::seconds(10)), 3U);
  EXPECT_EQ(d.take_warm(now, std::chrono::seconds(10)), std::nullopt);
  d.warm(2, now);
  EXPECT_EQ(d.take_warm(now + std::chrono::seconds(10), std::chrono::seconds(10)), std::nullopt)
      << "closed by now";
}

TEST_F(DestinationTest, KnowsWhenANewConnectionWouldBeOneTooMany) {
  fill(10);
  d.warm(0, now);
  d.warm(1, now);
  take();
  EXPECT_FALSE(d.all_open(3)) << "two idle ones, and one for this delivery";
  take();
  EXPECT_TRUE(d.all_open(3));
  d.take_warm(now, std::chrono::seconds(10));
  EXPECT_FALSE(d.all_open(3));
}

TEST_F(DestinationTest, SlowsDownWhenAskedTo) {
  fill(50);
  take();
  finish(GrantReport::How::throttled);
  EXPECT_EQ(d.concurrency(20), kInitialConcurrency / 2);
  EXPECT_FALSE(d.runnable(now, 20));
  EXPECT_TRUE(d.runnable(now + std::chrono::seconds(2), 20));
}

TEST_F(DestinationTest, GivesTheLastChanceInSpiteOfAPolicyBackOff) {
  fill(3);
  for (unsigned i = 0; i < kFailuresUntilDead; ++i) {
    take();
    finish(GrantReport::How::failed, true);
  }
  d.push_last_chance(claim_for("a.example", 99));
  const auto claims = take();
  ASSERT_EQ(claims.size(), 1U);
  EXPECT_EQ(claims[0].token.value, 99U);
}

TEST_F(DestinationTest, IsPausedWhateverWaits) {
  fill(3);
  d.pause(true);
  EXPECT_TRUE(take().empty());
  FakeClock clock;
  EXPECT_EQ(d.status(now, 20, Timeline(clock)).state, "paused");
}

TEST_F(DestinationTest, HasLessOfItsWorkInMemoryWhileItTakesLittle) {
  const auto deliver = [&](int n) {
    for (int i = 0; i < n; ++i) {
      ASSERT_EQ(take().size(), 1U);
      finish(GrantReport::How::reached);
    }
  };
  fill(500);
  d.measure(100);
  EXPECT_EQ(d.most_ready(100), kLeastShare) << "nothing was taken";
  const auto back = d.shorten(d.most_ready(100));
  EXPECT_EQ(d.ready(), kLeastShare);
  ASSERT_EQ(back.size(), 500U - kLeastShare);
  EXPECT_EQ(back.front().token.value, 500U) << "the latest goes back";
  deliver(10);
  d.measure(100);
  EXPECT_EQ(d.most_ready(100), 60U) << "as much as it takes, though it keeps up with what it has";
  deliver(20);
  d.measure(100);
  EXPECT_EQ(d.most_ready(100), 100U) << "its share, in time";
}

TEST_F(DestinationTest, HasItsShareAgainOnceItHasNothingLeft) {
  fill(500);
  d.measure(100);
  d.drain();
  d.measure(100);
  EXPECT_EQ(d.most_ready(100), 100U);
}

TEST_F(DestinationTest, WhatFoundAllConnectionsInUseWasNotTaken) {
  fill(500);
  for (int i = 0; i < 20; ++i) {
    auto claims = take();
    if (claims.empty()) break;
    GrantReport busy = report(GrantReport::How::busy);
    busy.unfinished = claims;
    d.finished(lane, busy, now, settings, random);
    for (auto& c : claims) d.push_front(std::move(c));
    now += std::chrono::seconds(1);
  }
  d.measure(1000);
  EXPECT_EQ(d.most_ready(1000), kLeastShare);
}

TEST(DestinationTable, GoesRoundRobin) {
  auto settings = std::make_shared<Settings>(delivery_settings());
  const RouteTable routes(settings);
  DestinationTable table;
  const SteadyTime now{std::chrono::hours(1)};
  std::uint64_t token = 0;
  for (const char* domain : {"a.example", "b.example", "c.example"}) {
    Destination& d = table.of(routes, domain, Mailbox(), now);
    for (int i = 0; i < 400; ++i) d.push(claim_for(domain, ++token));
    table.schedule(d, now, 20);
  }
  std::string order;
  for (int i = 0; i < 9; ++i) {
    Destination* d = table.next(now, 20);
    ASSERT_NE(d, nullptr);
    LaneKind lane;
    EXPECT_FALSE(d->take(now, 20, lane).empty());
    table.schedule(*d, now, 20);
    order += d->name().front();
  }
  EXPECT_EQ(order, "abcabcabc");
}

TEST(DestinationTable, HeldDestinationsComeBackByThemselves) {
  auto settings = std::make_shared<Settings>(delivery_settings());
  const RouteTable routes(settings);
  DestinationTable table;
  const SteadyTime now{std::chrono::hours(1)};
  Destination& d = table.of(routes, "a.example", Mailbox(), now);
  d.push(claim_for("a.example", 1));
  d.hold_until(now + std::chrono::seconds(3));
  table.schedule(d, now, 20);
  EXPECT_EQ(table.next(now, 20), nullptr);
  EXPECT_EQ(table.wake(now, 20), now + std::chrono::seconds(3));
  table.wake(now + std::chrono::seconds(3), 20);
  EXPECT_EQ(table.next(now + std::chrono::seconds(3), 20), &d);
}

TEST(DestinationTable, ForgetsWhatIsIdleAndKeepsWhatIsNot) {
  auto settings = std::make_shared<Settings>(delivery_settings());
  const RouteTable routes(settings);
  DestinationTable table;
  const SteadyTime now{std::chrono::hours(1)};
  table.of(routes, "idle.example", Mailbox(), now);
  table.of(routes, "busy.example", Mailbox(), now).push(claim_for("busy.example", 1));
  table.pause("paused.example", true);
  table.of(routes, "paused.example", Mailbox(), now);
  table.evict(now + std::chrono::minutes(20), std::chrono::minutes(10));
  EXPECT_EQ(table.size(), 2U);
  EXPECT_TRUE(table.named("idle.example").empty());
  EXPECT_TRUE(table.of(routes, "paused.example", Mailbox(), now).paused());
}

}  // namespace
}  // namespace holdfast
