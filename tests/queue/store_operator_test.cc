// What every engine of the store keeps: what operators change, also under a delivery.
#include <gmock/gmock.h>

#include "tests/queue/store_conformance.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::IsEmpty;
using testing::SizeIs;

TEST_P(StoreConformance, AHeldRecipientStaysUntilItIsReleased) {
  ASSERT_TRUE(t_.accept(t_.message({"a@one.example"})));
  const RecipientId id = t_.list().at(0).recipient;
  ASSERT_TRUE(t_.change(OperatorChange::What::hold, {id}));
  EXPECT_EQ(t_.list().at(0).state, RecipientState::held);
  EXPECT_THAT(t_.claim({"one.example"}), IsEmpty());
  EXPECT_THAT(t_.due(), IsEmpty());
  EXPECT_EQ(run_to_end(store().stats())->recipients_held, 1u);
  ASSERT_TRUE(t_.change(OperatorChange::What::release, {id}));
  EXPECT_THAT(t_.claim({"one.example"}), SizeIs(1));
}

TEST_P(StoreConformance, TheOperatorWinsOverAClaim) {
  ASSERT_TRUE(t_.accept(t_.message({"a@one.example"})));
  const Claim claim = t_.claim({"one.example"}).at(0);
  ASSERT_TRUE(t_.change(OperatorChange::What::remove, {claim.recipients[0].id}));
  EXPECT_THAT(t_.complete(claim)->stale, SizeIs(1));
  EXPECT_THAT(t_.list(), IsEmpty());
}

// Else its release would send it a second time.
TEST_P(StoreConformance, WhatIsHeldWhileItIsBeingDeliveredIsDelivered) {
  ASSERT_TRUE(t_.accept(t_.message({"a@one.example"})));
  const Claim claim = t_.claim({"one.example"}).at(0);
  ASSERT_TRUE(t_.change(OperatorChange::What::hold, {claim.recipients[0].id}));
  EXPECT_EQ(t_.list().at(0).state, RecipientState::held);
  EXPECT_THAT(t_.complete(claim)->stale, IsEmpty());
  EXPECT_THAT(t_.list(), IsEmpty());
  EXPECT_EQ(run_to_end(store().stats())->recipients_held, 0u);
}

TEST_P(StoreConformance, WhatIsHeldWhileItIsBeingDeferredStaysHeld) {
  ASSERT_TRUE(t_.accept(t_.message({"a@one.example"})));
  const Claim claim = t_.claim({"one.example"}).at(0);
  const RecipientId id = claim.recipients[0].id;
  ASSERT_TRUE(t_.change(OperatorChange::What::hold, {id}));
  ASSERT_TRUE(t_.defer(claim, t_.now() + 5min));
  EXPECT_EQ(t_.list().at(0).state, RecipientState::held);
  EXPECT_EQ(t_.list().at(0).attempts, 1u);
  EXPECT_EQ(run_to_end(store().stats())->recipients_held, 1u);
  EXPECT_THAT(t_.due(), IsEmpty());
  ASSERT_TRUE(t_.change(OperatorChange::What::release, {id}));
  EXPECT_THAT(t_.claim({"one.example"}), SizeIs(1));
}

TEST_P(StoreConformance, WhatIsHeldAndReleasedInOneAttemptIsNotTriedTwice) {
  ASSERT_TRUE(t_.accept(t_.message({"a@one.example"})));
  const Claim claim = t_.claim({"one.example"}).at(0);
  const RecipientId id = claim.recipients[0].id;
  ASSERT_TRUE(t_.change(OperatorChange::What::hold, {id}));
  ASSERT_TRUE(t_.change(OperatorChange::What::release, {id}));
  EXPECT_THAT(t_.claim({"one.example"}), IsEmpty());
  EXPECT_THAT(t_.complete(claim)->stale, IsEmpty());
  EXPECT_THAT(t_.list(), IsEmpty());
}

TEST_P(StoreConformance, RetryMakesADeferredRecipientDueNow) {
  ASSERT_TRUE(t_.accept(t_.message({"a@one.example"})));
  ASSERT_TRUE(t_.defer(t_.claim({"one.example"}).at(0), t_.now() + 4h));
  ASSERT_TRUE(t_.change(OperatorChange::What::retry, {t_.list().at(0).recipient}));
  EXPECT_THAT(t_.due(), SizeIs(1));
  EXPECT_THAT(t_.claim({"one.example"}), SizeIs(1));
}

TEST_P(StoreConformance, RetryLeavesWhatIsInHandAlone) {
  ASSERT_TRUE(t_.accept(t_.message({"a@one.example"})));
  const Claim claim = t_.claim({"one.example"}).at(0);
  ASSERT_TRUE(t_.change(OperatorChange::What::retry, {claim.recipients[0].id}));
  EXPECT_THAT(t_.claim({"one.example"}), IsEmpty());
  EXPECT_THAT(t_.complete(claim)->stale, IsEmpty());
}

TEST_P(StoreConformance, ARemovedRecipientIsGone) {
  const auto id = t_.accept(t_.message({"a@one.example"})).value().id;
  ASSERT_TRUE(t_.change(OperatorChange::What::remove, {t_.list().at(0).recipient}));
  EXPECT_THAT(t_.list(), IsEmpty());
  EXPECT_FALSE(t_.content(id));
  QueueFilter removed;
  removed.state = RecipientState::removed;
  EXPECT_THAT(t_.list(removed), SizeIs(1));
}

TEST_P(StoreConformance, AChangeOfAnEndedOrUnknownRecipientDoesNothing) {
  ASSERT_TRUE(t_.accept(t_.message({"a@one.example"})));
  const Claim claim = t_.claim({"one.example"}).at(0);
  ASSERT_TRUE(t_.complete(claim));
  ASSERT_TRUE(t_.change(OperatorChange::What::retry, {claim.recipients[0].id, 4711}));
  ASSERT_TRUE(t_.change(OperatorChange::What::release, {claim.recipients[0].id, 4711}));
  EXPECT_THAT(t_.claim({"one.example"}), IsEmpty());
}

TEST_P(StoreConformance, AnOperatorsBounceEndsAllOfItsRecipientsOrNone) {
  ASSERT_TRUE(t_.accept(t_.message({"a@one.example", "b@two.example"})));
  const auto rows = t_.list();
  const Claim held = t_.claim({"two.example"}).at(0);
  auto bounce = [&](std::vector<RecipientId> ids) {
    Batch batch;
    batch.accept.push_back(t_.message({"sender@source.example"}));
    batch.changes.push_back({OperatorChange::What::bounce, std::move(ids), "given up"});
    return t_.apply(std::move(batch));
  };
  EXPECT_TRUE(bounce({rows[0].recipient, rows[1].recipient}).error().is(StoreError::rejected));
  EXPECT_THAT(t_.list(), SizeIs(2)) << "neither the end nor the notification of a rejected batch is kept";
  ASSERT_TRUE(bounce({rows[0].recipient}));
  QueueFilter bounced;
  bounced.state = RecipientState::bounced;
  EXPECT_EQ(t_.list(bounced).at(0).reason, "given up");
  EXPECT_TRUE(bounce({rows[0].recipient}).error().is(StoreError::rejected)) << "it ends once";
  ASSERT_TRUE(t_.complete(held)) << "the claim that stood in the way is as good as before";
}

TEST_P(StoreConformance, WhatWasBouncedByTheOperatorIsNotClaimed) {
  ASSERT_TRUE(t_.accept(t_.message({"a@one.example"})));
  Batch batch;
  batch.changes.push_back({OperatorChange::What::bounce, {t_.list().at(0).recipient}, "given up"});
  ASSERT_TRUE(t_.apply(std::move(batch)));
  EXPECT_THAT(t_.claim({"one.example"}), IsEmpty());
  EXPECT_EQ(run_to_end(store().stats()).value().messages, 0u);
}

// RFC 4865: whoever asked for a time gets it, whatever the operator does to the whole queue.
TEST_P(StoreConformance, RetryAndReleaseDoNotComeBeforeTheTimeThatTheSenderAskedFor) {
  Accept embargoed = t_.message({"a@one.example"});
  embargoed.meta.release = t_.now() + 2h;
  embargoed.meta.expires = t_.now() + 100h;
  ASSERT_TRUE(t_.accept(std::move(embargoed)));
  const RecipientId id = t_.list().at(0).recipient;
  ASSERT_TRUE(t_.change(OperatorChange::What::retry, {id}));
  EXPECT_THAT(t_.claim({"one.example"}), IsEmpty());
  ASSERT_TRUE(t_.change(OperatorChange::What::hold, {id}));
  ASSERT_TRUE(t_.change(OperatorChange::What::release, {id}));
  EXPECT_THAT(t_.claim({"one.example"}), IsEmpty());
  EXPECT_EQ(t_.list().at(0).next_attempt, t_.list().at(0).meta->release);
  engine_->clock().advance(2h);
  EXPECT_THAT(t_.claim({"one.example"}), SizeIs(1));
}

}  // namespace
}  // namespace holdfast
