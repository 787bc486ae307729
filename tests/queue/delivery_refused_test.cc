// Results that the store will not have: held by another process, damaged, failed for good.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/queue/delivery_fixture.h"

namespace holdfast {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class RefusedResults : public ::testing::Test {
 protected:
  RefusedResults() { relay.serve(mx, "a.example", "mx.a.example", "192.0.2.1"); }

  void send(const std::string& to) {
    relay.start();
    relay.submit({to});
    relay.pass(seconds(3), seconds(1));
  }
  void refuse_ends_with(StoreError error) {
    relay.store.fail_where([error](const Batch& batch) -> std::optional<StoreError> {
      if (batch.complete.empty() && batch.defer.empty()) return std::nullopt;
      return error;
    });
  }
  void refuse_notifications_with(StoreError error) {
    relay.store.fail_where([error](const Batch& batch) -> std::optional<StoreError> {
      if (batch.accept.empty() || !batch.accept.front().meta.is_bounce) return std::nullopt;
      return error;
    });
  }

  TestMx mx;
  DeliveryFixture relay;
};

// Somebody else's transaction, such as a VACUUM in a shell.
TEST_F(RefusedResults, WhileAnotherProcessHoldsTheStoreAreWrittenLater) {
  mx.rcpt = [&](const std::string&) {
    relay.store.fail_next(StoreError::conflict);
    return "250 2.1.5 ok";
  };
  send("user@a.example");
  EXPECT_EQ(relay.count(RecipientState::delivered), 1U);
  EXPECT_THAT(relay.log.events("delivered"), SizeIs(1));
  EXPECT_EQ(relay.scheduler->in_hand(), 0U);
}

TEST_F(RefusedResults, ByADamagedStoreAreNeverSentAgainAndLeaveRoomForOthers) {
  refuse_ends_with(StoreError::damaged);
  send("user@a.example");
  ASSERT_THAT(mx.taken, SizeIs(1));
  EXPECT_TRUE(relay.log.holds("stays in hand until a restart"));
  EXPECT_TRUE(relay.log.holds("user@a.example"));
  EXPECT_EQ(relay.scheduler->in_hand(), 0U) << "room for others";
  relay.pass(hours(3));
  EXPECT_THAT(mx.taken, SizeIs(1));
  ASSERT_THAT(relay.rows(), SizeIs(1));
  EXPECT_TRUE(relay.rows().front().in_hand);
  EXPECT_THAT(relay.log.events("delivered"), IsEmpty());
}

TEST_F(RefusedResults, OfWhatWasNotDeliveredAreSaidAndTriedAgain) {
  mx.rcpt = [](const std::string&) { return "450 4.2.0 later"; };
  refuse_ends_with(StoreError::damaged);
  send("user@a.example");
  EXPECT_TRUE(relay.log.holds("which is tried again in some minutes"));
  relay.store.fail_where(nullptr);
  mx.rcpt = nullptr;
  relay.pass(minutes(30));
  EXPECT_THAT(mx.taken, SizeIs(1));
  EXPECT_EQ(relay.count(RecipientState::delivered), 1U);
}

TEST_F(RefusedResults, AreGivenUpWhenTheOperatorEndsTheMessage) {
  refuse_ends_with(StoreError::damaged);
  send("user@a.example");
  relay.store.fail_where(nullptr);
  OperatorChange removal;
  removal.what = OperatorChange::What::remove;
  removal.recipients.push_back(relay.rows().front().recipient);
  Batch batch;
  batch.changes.push_back(std::move(removal));
  ASSERT_TRUE(run(relay.context, relay.store.apply(std::move(batch))));
  relay.pass(minutes(10));
  EXPECT_EQ(relay.count(RecipientState::removed), 1U);
  EXPECT_THAT(mx.taken, SizeIs(1));
}

TEST_F(RefusedResults, ANotificationThatBreaksARuleIsLeftOutAndTheEndRecorded) {
  mx.rcpt = [](const std::string&) { return "550 5.1.1 no such user"; };
  refuse_notifications_with(StoreError::rejected);
  send("user@a.example");
  EXPECT_EQ(relay.count(RecipientState::bounced), 1U);
  EXPECT_EQ(relay.notifications(), 0U);
  EXPECT_TRUE(relay.log.holds("a notification, and it is left out"));
}

// The sender would never hear of it.
TEST_F(RefusedResults, NothingEndsUntoldBecauseTheStoreIsDamaged) {
  mx.rcpt = [](const std::string&) { return "550 5.1.1 no such user"; };
  refuse_notifications_with(StoreError::damaged);
  send("user@a.example");
  EXPECT_EQ(relay.count(RecipientState::bounced), 0U);
  EXPECT_THAT(relay.log.events("bounced"), IsEmpty());
  EXPECT_TRUE(relay.rows().front().in_hand);
}

// Whatever a server takes now would be sent again after the restart.
TEST_F(RefusedResults, OfAStoreThatFailedForGoodEndWhatIsUnderWay) {
  mx.final_dot = [&] {
    if (mx.taken.size() == 10) relay.store.fail_next(StoreError::failed_for_good);
    return "250 2.0.0 taken";
  };
  for (int i = 0; i < 500; ++i) relay.submit({"u" + std::to_string(i) + "@a.example"});
  relay.start();
  relay.pass(minutes(1), seconds(1));
  EXPECT_LE(mx.taken.size(), 10U + relay.source.current()->delivery.connections_per_destination);
  EXPECT_EQ(mx.open, 0U);
}

TEST_F(RefusedResults, OfAStoreThatFailedForGoodAreNotWaitedForAtTheStop) {
  mx.silent = true;
  relay.start();
  relay.submit({"user@a.example"});
  relay.advance(seconds(1));
  ASSERT_EQ(mx.open, 1U);
  relay.store.fail_next(StoreError::failed_for_good);
  EXPECT_FALSE(run(relay.context, relay.store.apply(Batch())));
  const SteadyTime before = relay.clock.now();
  relay.stop(seconds(30));
  EXPECT_LT(relay.clock.now() - before, seconds(20));
}

}  // namespace
}  // namespace holdfast
