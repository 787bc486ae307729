// How long a message waits, and what its sender hears of it: what was asked to go later, and what finds every
// connection taken.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/queue/delivery_fixture.h"

namespace holdfast {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::HasSubstr;

class DeliveryWait : public ::testing::Test {
 protected:
  void boot(Settings settings = delivery_settings()) {
    relay = std::make_unique<DeliveryFixture>(std::move(settings));
    relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
    relay->start();
  }
  TestMx mx;
  std::unique_ptr<DeliveryFixture> relay;
};

TEST_F(DeliveryWait, AMessageThatWasToGoLaterStillWaitsForAnUnknownPolicy) {
  boot();
  StsLookup unknown;
  unknown.state = StsLookup::State::unknown;
  unknown.detail = "SERVFAIL";
  relay->planner.policies["a.example"] = unknown;
  MessageOptions options;
  options.hold = hours(6);
  relay->submit({"user@a.example"}, options);
  relay->pass(hours(6) + minutes(29));
  EXPECT_TRUE(mx.taken.empty());
  EXPECT_TRUE(relay->rows().at(0).policy);
  relay->pass(minutes(60));
  EXPECT_EQ(mx.taken.size(), 1U);
}

TEST_F(DeliveryWait, TheTimeThatTheSenderAskedForIsNoDelay) {
  boot();
  mx.rcpt = [](const std::string&) { return "450 4.2.0 later"; };
  MessageOptions options;
  options.hold = hours(6);
  relay->submit({"user@a.example"}, options);
  relay->pass(hours(9));
  EXPECT_EQ(relay->notifications(), 0U);
  relay->pass(hours(2));
  EXPECT_EQ(relay->told_of("user@a.example"), "delayed 4.2.0");
}

class WithEveryConnectionTaken : public DeliveryWait {
 protected:
  WithEveryConnectionTaken() {
    Settings s = delivery_settings();
    s.delivery.connections_per_mx = 1;
    boot(s);
    taken = relay->budget.open("mx.a.example", s.delivery, relay->clock.now());
    EXPECT_TRUE(taken);
  }
  ConnectionBudget::Place taken;
};

TEST_F(WithEveryConnectionTaken, AMessageExpiresAllTheSame) {
  MessageOptions options;
  options.lifetime = hours(2);
  relay->submit({"user@a.example"}, options);
  relay->pass(hours(2) - minutes(1), seconds(30));
  EXPECT_EQ(relay->count(RecipientState::queued), 1U);
  relay->pass(minutes(8), seconds(10));
  EXPECT_EQ(relay->count(RecipientState::expired), 1U);
  EXPECT_THAT(relay->told_of("user@a.example"), HasSubstr("failed 4.4.7"));
}

// An attempt at its end that finds no connection for a moment is none.
TEST_F(WithEveryConnectionTaken, TheLastAttemptHasAWhileToFindOne) {
  MessageOptions options;
  options.lifetime = hours(2);
  relay->submit({"user@a.example"}, options);
  relay->pass(hours(2) + minutes(1), seconds(30));
  EXPECT_EQ(relay->count(RecipientState::queued), 1U);
  taken = {};
  relay->pass(seconds(10), seconds(1));
  EXPECT_EQ(mx.taken.size(), 1U);
  EXPECT_EQ(relay->count(RecipientState::delivered), 1U);
}

TEST_F(WithEveryConnectionTaken, OldMailIsTriedAsSoonAsOneIsFree) {
  relay->submit({"user@a.example"});
  relay->pass(hours(10), minutes(1));
  EXPECT_EQ(relay->notifications(), 1U);
  EXPECT_EQ(relay->rows().front().attempts, 0U);
  taken = {};
  relay->pass(seconds(10), seconds(1));
  EXPECT_EQ(mx.taken.size(), 1U) << "not after a back-off";
}

TEST_F(WithEveryConnectionTaken, ItsSenderIsToldOfTheDelayAndTheReasonIsListed) {
  relay->submit({"user@a.example"});
  relay->pass(hours(4) + minutes(2), seconds(30));
  EXPECT_EQ(relay->told_of("user@a.example"), "delayed 4.4.5");
  EXPECT_THAT(relay->reason_of("user@a.example"), HasSubstr("all connections that mx.a.example is allowed"));
  taken = {};
  relay->pass(hours(1));
  EXPECT_EQ(mx.taken.size(), 1U);
}

}  // namespace
}  // namespace holdfast
