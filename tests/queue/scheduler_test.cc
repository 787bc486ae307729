// Who is served when: fairness, back-off, pauses, expiry, shutdown. The whole sending side runs
// (delivery_fixture.h).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/queue/delivery_fixture.h"

namespace holdfast {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::HasSubstr;

class SchedulerTest : public ::testing::Test {
 protected:
  void boot(Settings settings = delivery_settings(), unsigned workers = 1,
            std::size_t window = kSchedulerWindow, Duration gather = Duration(0)) {
    relay = std::make_unique<DeliveryFixture>(std::move(settings), workers, 1, window, gather);
  }
  DestinationStatus status(const std::string& name) {
    for (auto& d : run(relay->context, relay->scheduler->destinations()))
      if (d.name == name) return d;
    return {};
  }
  // As intake does it: taken in claimed, and offered.
  asio::awaitable<void> offer_fresh(std::string to) {
    Batch batch;
    Accept& accept = batch.accept.emplace_back();
    accept.meta.id = QueueId::make(relay->clock.wall(), relay->random);
    accept.meta.accepted = accept.meta.release = relay->timeline.now();
    accept.meta.expires = relay->timeline.now() + hours(1);
    accept.prefix = "Subject: fresh\r\n\r\n";
    accept.recipients.push_back({Mailbox::parse(to).value(), {}});
    accept.claim = relay->scheduler->has_room();
    EXPECT_TRUE(accept.claim);
    auto applied = co_await relay->store.apply(std::move(batch));
    relay->scheduler->offer(std::move(applied->accepted.front().claims));
  }
  template <class F>
  void submit_many(int n, F address, MessageOptions options = {}) {
    for (int i = 0; i < n; ++i) relay->submit({address(i)}, options);
  }
  TestMx mx, other;
  std::unique_ptr<DeliveryFixture> relay;
};

TEST_F(SchedulerTest, ABacklogForADeadDomainDelaysNobodyElse) {
  boot(delivery_settings(), 2);
  mx.silent = true;
  relay->serve(mx, "dead.example", "mx.dead.example", "192.0.2.1");
  relay->serve(other, "well.example", "mx.well.example", "192.0.2.2");
  submit_many(6000, [](int i) { return "u" + std::to_string(i) + "@dead.example"; });
  relay->start();
  relay->advance(seconds(5));
  for (int i = 0; i < 50; ++i) {
    relay->submit({"fresh@well.example"});
    relay->advance(std::chrono::milliseconds(10));
    EXPECT_EQ(other.taken.size(), static_cast<std::size_t>(i) + 1) << "delivered within one turn";
  }
  EXPECT_LE(mx.open, kInitialConcurrency);
}

// Each look at what the workers say wakes a thread; a busy relay's workers speak thousands of times a second.
TEST_F(SchedulerTest, ReadsTogetherWhatComesWithinAMillisecond) {
  boot(delivery_settings(), 1, kSchedulerWindow, kInboxGathers);
  relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  relay->start();
  relay->advance(seconds(1));
  run(relay->context, offer_fresh("first@a.example"));
  relay->settle();
  EXPECT_EQ(mx.taken.size(), 1U) << "the first does not wait";
  run(relay->context, offer_fresh("second@a.example"));
  run(relay->context, offer_fresh("third@a.example"));
  relay->settle();
  EXPECT_EQ(mx.taken.size(), 1U);
  relay->advance(kInboxGathers);
  EXPECT_EQ(mx.taken.size(), 3U);
}

TEST_F(SchedulerTest, ABacklogForOneSlowDomainLeavesTheOthersTheirTurn) {
  boot();
  relay->serve(mx, "big.example", "mx.big.example", "192.0.2.1");
  relay->serve(other, "small.example", "mx.small.example", "192.0.2.2");
  submit_many(5000, [](int) { return "u@big.example"; });
  relay->submit({"u@small.example"});
  std::size_t taken_before = 0;
  other.final_dot = [&] {
    taken_before = mx.taken.size();
    return "250 2.0.0 taken";
  };
  relay->start();
  relay->pass(seconds(30), seconds(1));
  EXPECT_EQ(mx.taken.size(), 5000U);
  EXPECT_EQ(other.taken.size(), 1U);
  EXPECT_LT(taken_before, 500U) << "it did not wait for the backlog";
}

// A slot: what one permit hands out. With one connection in all, the message to another domain goes with the
// next permit.
TEST_F(SchedulerTest, ABacklogDelaysTheFirstMessageToAnotherByNoMoreThanOneSlot) {
  Settings s = delivery_settings();
  s.delivery.connections_total = 1;
  s.delivery.connections_per_destination = 1;
  boot(s);
  relay->serve(mx, "big.example", "mx.big.example", "192.0.2.1");
  relay->serve(other, "small.example", "mx.small.example", "192.0.2.2");
  constexpr int kBacklog = 100000;
  std::vector<std::string> hundred;
  for (int i = 0; i < 100; ++i) hundred.push_back("u" + std::to_string(i) + "@big.example");
  for (int i = 0; i < kBacklog / 100; ++i) relay->submit(hundred);
  std::size_t asked_at = 0, taken_at = 0;
  bool submitted = false;
  mx.final_dot = [&] {
    if (mx.taken.size() == 50 && !submitted) {
      // In the middle of the backlog.
      submitted = true;
      asked_at = mx.taken.size();
      asio::co_spawn(relay->context, offer_fresh("first@small.example"), asio::detached);
    }
    return "250 2.0.0 taken";
  };
  other.final_dot = [&] {
    taken_at = mx.taken.size();
    return "250 2.0.0 taken";
  };
  relay->start();
  relay->pass(seconds(60), seconds(1));
  ASSERT_EQ(other.taken.size(), 1U);
  EXPECT_LE(taken_at - asked_at, kClaimsPerGrant + 1) << "messages to the other that went before it";
  EXPECT_GT(mx.taken.size(), 50U);
}

TEST_F(SchedulerTest, MemoryDoesNotGrowWithTheQueue) {
  boot(delivery_settings(), 1, 200);
  mx.refuses_connections = true;
  relay->serve(mx, "dead.example", "mx.dead.example", "192.0.2.1");
  submit_many(3000, [](int) { return "u@dead.example"; });
  relay->start();
  std::size_t most = 0;
  for (int i = 0; i < 60; ++i) {
    relay->advance(seconds(2));
    most = std::max(most, relay->scheduler->in_hand());
  }
  EXPECT_LE(most, 200U);
  mx.refuses_connections = false;
  relay->pass(hours(3));
  EXPECT_EQ(mx.taken.size(), 3000U);
  EXPECT_EQ(relay->scheduler->in_hand(), 0U);
}

TEST_F(SchedulerTest, ADeadDestinationBacksOffAndItsMailWaitsForIt) {
  boot();
  mx.refuses_connections = true;
  relay->serve(mx, "dead.example", "mx.dead.example", "192.0.2.1");
  submit_many(200, [](int) { return "u@dead.example"; });
  relay->start();
  relay->pass(seconds(20), seconds(1));
  const auto state = status("dead.example");
  EXPECT_EQ(state.state, "backing-off");
  EXPECT_THAT(state.waiting_reason, HasSubstr("192.0.2.1"));
  ASSERT_TRUE(state.retry_at);
  EXPECT_LT(relay->connector.targets.size(), 20U) << "not every message knocks";
  for (const auto& row : relay->rows()) {
    EXPECT_GT(row.next_attempt, relay->timeline.now());
    EXPECT_FALSE(row.reason.empty());
    EXPECT_FALSE(row.in_hand);
  }
  mx.refuses_connections = false;
  relay->pass(minutes(30));
  EXPECT_EQ(mx.taken.size(), 200U);
}

TEST_F(SchedulerTest, TheOperatorCanAskToTryNow) {
  boot();
  mx.refuses_connections = true;
  relay->serve(mx, "dead.example", "mx.dead.example", "192.0.2.1");
  submit_many(50, [](int) { return "u@dead.example"; });
  relay->start();
  relay->pass(seconds(20), seconds(1));
  mx.refuses_connections = false;
  run(relay->context, relay->scheduler->retry_now("dead.example"));
  relay->advance(seconds(1));
  EXPECT_EQ(mx.taken.size(), 50U);
}

TEST_F(SchedulerTest, MailExpiresAtItsOwnTimeThoughTheDestinationIsDead) {
  Settings s = delivery_settings();
  s.delivery.retry = {hours(2), hours(4)};
  boot(s);
  mx.refuses_connections = true;
  relay->serve(mx, "dead.example", "mx.dead.example", "192.0.2.1");
  MessageOptions brief;
  brief.lifetime = minutes(90);
  submit_many(40, [](int) { return "long@dead.example"; });
  relay->start();
  relay->pass(seconds(20), seconds(1));
  ASSERT_EQ(status("dead.example").state, "backing-off");
  relay->submit({"brief@dead.example"}, brief);
  relay->pass(minutes(89));
  EXPECT_EQ(relay->count(RecipientState::expired), 0U);
  relay->pass(minutes(3));
  EXPECT_EQ(relay->count(RecipientState::expired), 1U);
  EXPECT_EQ(relay->told_of("brief@dead.example"), "failed 4.4.7");
  EXPECT_EQ(relay->log.events("expired").size(), 1U);
}

TEST_F(SchedulerTest, APausedDestinationWaitsAndItsMailExpiresAllTheSame) {
  boot();
  relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  relay->start();
  run(relay->context, relay->scheduler->pause("a.example"));
  MessageOptions brief;
  brief.lifetime = hours(1);
  relay->submit({"brief@a.example"}, brief);
  relay->submit({"long@a.example"});
  relay->pass(minutes(50));
  EXPECT_EQ(mx.connections, 0U);
  EXPECT_EQ(status("a.example").state, "paused");
  EXPECT_THAT(relay->reason_of("long@a.example"), HasSubstr("paused"));
  relay->pass(minutes(15));
  EXPECT_EQ(relay->count(RecipientState::expired), 1U);
  EXPECT_EQ(mx.connections, 0U);
  run(relay->context, relay->scheduler->resume("a.example"));
  relay->advance(seconds(1));
  ASSERT_EQ(mx.taken.size(), 1U);
  EXPECT_EQ(mx.taken[0].to.at(0), "long@a.example");
}

TEST_F(SchedulerTest, PausingTakesBackWhatIsReady) {
  boot();
  mx.silent = true;
  relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  relay->start();
  submit_many(300, [](int) { return "u@a.example"; });
  relay->advance(seconds(1));
  run(relay->context, relay->scheduler->pause("a.example"));
  relay->advance(seconds(1));
  EXPECT_EQ(status("a.example").ready, 0U);
  EXPECT_LE(relay->scheduler->in_hand(), kInitialConcurrency * kClaimsPerGrant);
}

TEST_F(SchedulerTest, TheSenderIsToldOnceOfADelay) {
  boot();
  mx.rcpt = [](const std::string&) { return "451 4.3.0 later"; };
  relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  relay->start();
  const QueueId id = relay->submit({"u@a.example"});
  relay->pass(hours(3));
  EXPECT_EQ(relay->notifications(), 0U);
  relay->pass(hours(6));
  EXPECT_EQ(relay->notifications(), 1U);
  EXPECT_EQ(relay->told_of("u@a.example"), "delayed 4.3.0");
  EXPECT_EQ(relay->rows_of(id).size(), 1U);
}

TEST_F(SchedulerTest, ADelayIsToldAlsoWhenTheDestinationIsDead) {
  boot();
  mx.refuses_connections = true;
  relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  relay->start();
  submit_many(30, [](int) { return "u@a.example"; });
  relay->pass(hours(6));
  EXPECT_EQ(relay->notifications(), 30U);
}

TEST_F(SchedulerTest, ARetryIsDueAtItsTimeThoughNothingElseHappens) {
  Settings s = delivery_settings();
  s.delivery.retry = {seconds(2)};
  boot(s);
  int answers = 0;
  mx.rcpt = [&](const std::string&) { return ++answers < 5 ? "451 4.3.0 later" : "250 2.1.5 ok"; };
  relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  relay->start();
  relay->submit({"u@a.example"});
  relay->pass(seconds(12), std::chrono::milliseconds(100));
  EXPECT_EQ(mx.taken.size(), 1U);
}

TEST_F(SchedulerTest, FreshMailIsOfferedWithoutADetour) {
  boot();
  relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  relay->start();
  MessageOptions claimed;
  claimed.claim = true;
  relay->submit({"u@a.example"}, claimed);
  relay->settle();
  EXPECT_EQ(mx.taken.size(), 1U) << "no timer was needed";
  EXPECT_EQ(relay->scheduler->in_hand(), 0U);
}

TEST_F(SchedulerTest, WhatWasGivenBackForWantOfRoomIsTakenUpWithoutAPause) {
  boot();
  relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  relay->start();
  relay->advance(seconds(1));
  Batch batch;  // in the store, and nobody said so
  Accept& accept = batch.accept.emplace_back();
  accept.meta.id = QueueId::make(relay->clock.wall(), relay->random);
  accept.meta.accepted = accept.meta.release = relay->timeline.now();
  accept.meta.expires = relay->timeline.now() + hours(1);
  accept.recipients.push_back({Mailbox::parse("u@a.example").value(), {}});
  ASSERT_TRUE(run(relay->context, relay->store.apply(std::move(batch))).has_value());
  relay->advance(std::chrono::milliseconds(10));
  EXPECT_EQ(mx.taken.size(), 0U);
  GrantSink::Settled given_back;
  given_back.next = relay->timeline.now();
  relay->scheduler->settled({given_back});
  relay->settle();
  relay->advance(std::chrono::milliseconds(10));
  EXPECT_EQ(mx.taken.size(), 1U);
}

TEST_F(SchedulerTest, OffersForADeadDestinationGoBackAndThenAreRefusedForAWhile) {
  boot();
  mx.refuses_connections = true;
  relay->serve(mx, "dead.example", "mx.dead.example", "192.0.2.1");
  relay->start();
  MessageOptions claimed;
  claimed.claim = true;
  bool closed = false;
  for (int i = 0; i < 300; ++i) {
    relay->submit({"u@dead.example"}, claimed);
    relay->advance(std::chrono::milliseconds(1));
    closed = closed || !relay->scheduler->has_room();
  }
  EXPECT_TRUE(closed) << "intake leaves mail to the store meanwhile";
  relay->pass(minutes(1), seconds(1));
  EXPECT_EQ(relay->scheduler->in_hand(), 0U);
  EXPECT_TRUE(relay->scheduler->has_room());
  mx.refuses_connections = false;
  relay->pass(hours(1));
  EXPECT_EQ(mx.taken.size(), 300U);
}

TEST_F(SchedulerTest, ConnectionsToOneMxAreLimitedOverAllItsDomains) {
  Settings s = delivery_settings();
  s.delivery.connections_per_mx = 3;
  boot(s, 2);
  for (int i = 0; i < 10; ++i)
    relay->serve(mx, "d" + std::to_string(i) + ".example", "mx.shared.example", "192.0.2.1");
  submit_many(400, [](int i) { return "u@d" + std::to_string(i % 10) + ".example"; });
  relay->start();
  relay->pass(minutes(3), std::chrono::milliseconds(100));
  EXPECT_EQ(mx.taken.size(), 400U);
  EXPECT_LE(mx.most_open, 3U);
  EXPECT_EQ(relay->log.events("deferred").size(), 0U) << "a full MX is no failure";
}

TEST_F(SchedulerTest, ConnectionsInAllAreLimited) {
  Settings s = delivery_settings();
  s.delivery.connections_total = 4;
  boot(s);
  std::vector<std::unique_ptr<TestMx>> servers;
  for (int i = 0; i < 30; ++i) {
    servers.push_back(std::make_unique<TestMx>());
    const std::string n = std::to_string(i);
    relay->serve(*servers.back(), "d" + n + ".example", "mx" + n + ".example", "192.0.2." + n);
  }
  submit_many(90, [](int i) { return "u@d" + std::to_string(i % 30) + ".example"; });
  relay->start();
  std::size_t most = 0;
  for (int i = 0; i < 1200; ++i) {
    relay->advance(std::chrono::milliseconds(100));
    most = std::max(most, relay->budget.open_in_all());
  }
  EXPECT_EQ(relay->count(RecipientState::delivered), 90U);
  EXPECT_LE(most, 4U);
  relay.reset();
}

TEST_F(SchedulerTest, ServesAThousandDestinations) {
  boot(delivery_settings(), 2);
  for (int i = 0; i < 1000; ++i) {
    const std::string n = std::to_string(i);
    relay->dns.mx("d" + n + ".example", 10, "mx.shared" + std::to_string(i % 20) + ".example");
  }
  std::vector<std::unique_ptr<TestMx>> servers;
  for (int i = 0; i < 20; ++i) {
    servers.push_back(std::make_unique<TestMx>());
    const std::string n = std::to_string(i);
    relay->dns.address("mx.shared" + n + ".example", "192.0.2." + n);
    relay->connector.servers["192.0.2." + n] = servers.back().get();
  }
  submit_many(2000, [](int i) { return "u@d" + std::to_string(i % 1000) + ".example"; });
  relay->start();
  relay->pass(minutes(2), std::chrono::milliseconds(200));
  EXPECT_EQ(relay->count(RecipientState::delivered), 2000U);
  relay.reset();
}

TEST_F(SchedulerTest, StoppingLetsDeliveriesFinishWithinGrace) {
  boot();
  relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  submit_many(100, [](int) { return "u@a.example"; });
  relay->start();
  relay->clock.advance(seconds(1));
  relay->stop(seconds(30));
  // What was sent is recorded, what was not is nobody's, untried and due.
  EXPECT_EQ(relay->count(RecipientState::delivered), mx.taken.size());
  for (const auto& row : relay->rows()) {
    EXPECT_FALSE(row.in_hand);
    EXPECT_EQ(row.attempts, 0U);
    EXPECT_LE(row.next_attempt, relay->timeline.now());
  }
}

TEST_F(SchedulerTest, StoppingCancelsWhatHangsAndGivesItBack) {
  boot();
  mx.silent = true;
  relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  submit_many(100, [](int) { return "u@a.example"; });
  relay->start();
  relay->advance(seconds(1));
  ASSERT_GT(mx.open, 0U);
  const SteadyTime before = relay->clock.now();
  relay->stop(seconds(5));
  EXPECT_LE(relay->clock.now() - before, seconds(20)) << "it does not wait for the peer";
  EXPECT_EQ(relay->rows().size(), 100U);
  for (const auto& row : relay->rows()) {
    EXPECT_FALSE(row.in_hand);
    EXPECT_EQ(row.attempts, 0U);
    EXPECT_EQ(row.reason, "");
  }
  EXPECT_TRUE(relay->ledger.outcomes.empty());
}

// No connection is open, so nothing else takes time at the end.
TEST_F(SchedulerTest, StopKnowsOfAllThatItGaveBack) {
  boot(delivery_settings(), 1, kSchedulerWindow, kInboxGathers);
  relay->start();
  relay->advance(seconds(1));
  run(relay->context, relay->scheduler->pause("a.example"));
  run(relay->context, offer_fresh("first@a.example"));
  relay->settle();
  run(relay->context, offer_fresh("second@a.example"));
  relay->stop(seconds(5));
  EXPECT_EQ(relay->scheduler->in_hand(), 0U);
  EXPECT_EQ(relay->count(RecipientState::queued), 2U);
}

TEST_F(SchedulerTest, ALongDeliveryKeepsItsClaim) {
  boot();
  mx.silent = other.silent = true;
  relay->serve(mx, "a.example", "mx1.a.example", "192.0.2.1", 10);
  relay->serve(mx, "a.example", "mx2.a.example", "192.0.2.2", 20);
  relay->serve(other, "a.example", "mx3.a.example", "192.0.2.3", 30);
  relay->start();
  relay->submit({"u@a.example"});
  relay->pass(minutes(14));
  ASSERT_EQ(relay->rows().size(), 1U);
  EXPECT_TRUE(relay->rows()[0].in_hand) << "the lease of ten minutes was renewed";
  EXPECT_EQ(mx.connections + other.connections, 3U);
  relay->pass(minutes(2));
  EXPECT_EQ(relay->rows().at(0).attempts, 1U);
}

// As if the process had been stopped for longer than a lease lasts.
TEST_F(SchedulerTest, AfterAStallNothingInHandIsClaimedOnceMore) {
  Settings s = delivery_settings();
  s.delivery.connections_per_destination = 1;
  boot(s);
  mx.silent = true;
  relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  submit_many(40, [](int) { return "u@a.example"; });
  relay->start();
  relay->advance(seconds(1));
  ASSERT_EQ(relay->scheduler->in_hand(), 40U);
  mx.silent = false;
  relay->advance(minutes(12));
  relay->pass(hours(1));
  EXPECT_EQ(mx.taken.size(), 40U) << "each once";
  EXPECT_FALSE(relay->log.holds("claim was lost"));
  EXPECT_EQ(relay->scheduler->in_hand(), 0U);
}

TEST_F(SchedulerTest, WhatTheOperatorRemovesIsNotSent) {
  Settings s = delivery_settings();
  s.delivery.connections_per_destination = 1;
  boot(s);
  mx.silent = true;
  relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  submit_many(40, [](int) { return "u@a.example"; });
  relay->start();
  relay->advance(seconds(1));
  Batch batch;
  OperatorChange change;
  change.what = OperatorChange::What::remove;
  for (const auto& row : relay->rows()) change.recipients.push_back(row.recipient);
  batch.changes.push_back(change);
  run(relay->context, relay->store.apply(std::move(batch))).value();
  mx.silent = false;
  relay->pass(minutes(30));
  EXPECT_LE(mx.taken.size(), kClaimsPerGrant) << "only what was under way";
  EXPECT_EQ(relay->scheduler->in_hand(), 0U);
}

TEST_F(SchedulerTest, JumpsOfTheWallClockNeitherExpireNorSpin) {
  boot();
  mx.rcpt = [](const std::string&) { return "451 4.3.0 later"; };
  relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  relay->start();
  relay->submit({"u@a.example"});
  relay->advance(seconds(1));
  relay->clock.jump_wall(hours(24 * 365 * 10));
  relay->pass(minutes(3));
  EXPECT_EQ(relay->count(RecipientState::expired), 0U);
  EXPECT_EQ(relay->rows().at(0).attempts, 1U);
  relay->clock.jump_wall(-hours(24 * 365 * 20));
  const std::size_t armed = relay->clock.times_armed();
  relay->pass(hours(1));
  EXPECT_GT(relay->rows().at(0).attempts, 1U) << "it does not starve";
  EXPECT_LT(relay->clock.times_armed() - armed, 2000U);
}

TEST_F(SchedulerTest, AReloadChangesTheRouteOfWhatWaits) {
  boot();
  mx.refuses_connections = true;
  relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  relay->start();
  relay->submit({"u@a.example"});
  relay->advance(seconds(1));
  Settings s = delivery_settings();
  RouteSettings route;
  route.recipients = {"a.example"};
  NextHop hop;
  hop.target = HostPort::parse("192.0.2.9:25", 25).value();
  route.via.push_back(hop);
  route.tls = RouteTls::opportunistic;
  s.routes.push_back(route);
  relay->connector.servers["192.0.2.9"] = &other;
  relay->reload(s);
  relay->pass(minutes(7));
  EXPECT_EQ(other.taken.size(), 1U);
}

TEST_F(SchedulerTest, AStoreThatFailsForAWhileLosesNothing) {
  boot();
  relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  int taken = 0;
  mx.final_dot = [&] {
    if (++taken % 3 == 0) relay->store.fail_next(taken % 2 == 0 ? StoreError::full : StoreError::io);
    return "250 2.0.0 taken";
  };
  relay->start();
  for (int i = 0; i < 20; ++i) {
    relay->submit({"u@a.example"});
    relay->advance(seconds(1));
  }
  relay->pass(minutes(2), seconds(5));
  EXPECT_EQ(relay->count(RecipientState::delivered), 20U);
  EXPECT_EQ(mx.taken.size(), 20U) << "nothing was sent twice";
}

}  // namespace
}  // namespace holdfast
