// Who is served when: fairness, offers and limits. Back-off and pauses, the end, and what upsets the work in
// hand are in the scheduler_*_test.cc beside it. The whole sending side runs (delivery_fixture.h).
#include <gtest/gtest.h>

#include "tests/queue/scheduler_fixture.h"

namespace holdfast {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

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

}  // namespace
}  // namespace holdfast
