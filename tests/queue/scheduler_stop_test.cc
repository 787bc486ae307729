// How the scheduler stops.
#include <gtest/gtest.h>

#include "tests/queue/scheduler_fixture.h"

namespace holdfast {
namespace {

using std::chrono::seconds;

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

// The last sessions end while it stops: what was claimed for it a moment before is offered when it is gone.
TEST_F(SchedulerTest, WhatIsOfferedAfterTheStopIsLeftToTheNextStart) {
  boot();
  relay->start();
  auto claims = run(relay->context, take_fresh("late@a.example"));
  relay->stop(seconds(5));
  relay->scheduler->offer(std::move(claims));
  relay->settle();
  EXPECT_EQ(relay->scheduler->in_hand(), 0U);
  const auto rows = relay->rows();
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].state, RecipientState::queued);
  EXPECT_TRUE(rows[0].in_hand) << "the agents are closed: nobody may be asked to give it back";
}

}  // namespace
}  // namespace holdfast
