// Who is not served now: back-off, pauses, delays, and mail that expires all the same.
#include <gmock/gmock.h>

#include "tests/queue/scheduler_fixture.h"

namespace holdfast {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::HasSubstr;

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

}  // namespace
}  // namespace holdfast
