// What upsets the work in hand: long deliveries, stalls, operators, jumps of the clock, reloads, a store that
// fails.
#include <gtest/gtest.h>

#include "tests/queue/scheduler_fixture.h"

namespace holdfast {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

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
