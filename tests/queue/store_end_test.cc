// What every engine of the store keeps: recipients end once or come back, and what tells of an end comes with
// it or not at all.
#include <gmock/gmock.h>

#include "tests/queue/store_conformance.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

TEST_P(StoreConformance, ADeliveredRecipientIsGoneAndItsBodyWithTheLast) {
  const auto id = t_.accept(t_.message({"a@one.example", "b@two.example"})).value().id;
  const auto claims = t_.claim({"one.example", "two.example"});
  ASSERT_THAT(claims, SizeIs(2));
  ASSERT_TRUE(t_.complete(claims[0]));
  EXPECT_TRUE(t_.content(id));
  EXPECT_THAT(t_.list(), SizeIs(1));
  ASSERT_TRUE(t_.complete(claims[1], RecipientState::bounced));
  const auto gone = t_.content(id);
  ASSERT_FALSE(gone);
  EXPECT_TRUE(gone.error().is(StoreError::not_found));
  EXPECT_THAT(t_.list(), IsEmpty());
  engine_->clock().advance(240h);
  EXPECT_THAT(t_.claim({"one.example", "two.example"}), IsEmpty());
  EXPECT_EQ(run_to_end(store().stats()).value().messages, 0u);
}

TEST_P(StoreConformance, ARecipientEndsOnce) {
  ASSERT_TRUE(t_.accept(t_.message({"a@one.example"})));
  const Claim claim = t_.claim({"one.example"}).at(0);
  EXPECT_THAT(t_.complete(claim)->stale, IsEmpty());
  EXPECT_THAT(t_.complete(claim, RecipientState::bounced)->stale, ElementsAre(claim.recipients[0].id));
  EXPECT_THAT(t_.defer(claim, t_.now())->stale, ElementsAre(claim.recipients[0].id));
  EXPECT_THAT(t_.claim({"one.example"}), IsEmpty());
}

TEST_P(StoreConformance, OneBatchCannotEndARecipientTwice) {
  ASSERT_TRUE(t_.accept(t_.message({"a@one.example"})));
  const Claim claim = t_.claim({"one.example"}).at(0);
  const RecipientId id = claim.recipients[0].id;
  Batch batch;
  batch.complete.push_back({id, claim.token, RecipientState::delivered, "", ""});
  batch.complete.push_back({id, claim.token, RecipientState::bounced, "", ""});
  EXPECT_THAT(t_.apply(std::move(batch))->stale, ElementsAre(id));
  QueueFilter delivered;
  delivered.state = RecipientState::delivered;
  EXPECT_THAT(t_.list(delivered), SizeIs(1));
}

TEST_P(StoreConformance, ADeferredRecipientComesBackAtItsTime) {
  ASSERT_TRUE(t_.accept(t_.message({"a@one.example"})));
  ASSERT_TRUE(t_.defer(t_.claim({"one.example"}).at(0), t_.now() + 5min));
  EXPECT_THAT(t_.claim({"one.example"}), IsEmpty());
  EXPECT_EQ(run_to_end(store().due(t_.now(), 10))->next, t_.now() + 5min);
  const auto rows = t_.list();
  ASSERT_THAT(rows, SizeIs(1));
  EXPECT_EQ(rows[0].attempts, 1u);
  EXPECT_EQ(rows[0].reason, "451 4.7.1 try later");
  EXPECT_EQ(rows[0].next_attempt, t_.now() + 5min);
  EXPECT_FALSE(rows[0].in_hand);
  engine_->clock().advance(5min);
  const auto again = t_.claim({"one.example"});
  ASSERT_THAT(again, SizeIs(1));
  EXPECT_EQ(again[0].recipients[0].attempts, 1u);
}

TEST_P(StoreConformance, ARecipientGivenBackUntriedKeepsItsCountAndReason) {
  ASSERT_TRUE(t_.accept(t_.message({"a@one.example"})));
  ASSERT_TRUE(t_.defer(t_.claim({"one.example"}).at(0), t_.now()));
  const Claim claim = t_.claim({"one.example"}).at(0);
  Defer back;
  back.recipient = claim.recipients[0].id;
  back.token = claim.token;
  back.next_attempt = t_.now();
  back.count_attempt = false;
  Batch batch;
  batch.defer.push_back(back);
  EXPECT_THAT(t_.apply(std::move(batch))->stale, IsEmpty());
  EXPECT_EQ(t_.list().at(0).attempts, 1u);
  EXPECT_EQ(t_.list().at(0).reason, "451 4.7.1 try later");
  EXPECT_THAT(t_.claim({"one.example"}), SizeIs(1));
}

TEST_P(StoreConformance, RemembersTheDelayNoticeAndThePolicy) {
  ASSERT_TRUE(t_.accept(t_.message({"a@one.example"})));
  const Claim claim = t_.claim({"one.example"}).at(0);
  Defer defer;
  defer.recipient = claim.recipients[0].id;
  defer.token = claim.token;
  defer.next_attempt = t_.now();
  defer.delay_notice_sent = true;
  defer.policy = true;
  Batch batch;
  batch.defer.push_back(defer);
  ASSERT_TRUE(t_.apply(std::move(batch)));
  EXPECT_TRUE(t_.list().at(0).policy);
  const Claim again = t_.claim({"one.example"}).at(0);
  EXPECT_TRUE(again.recipients[0].delay_notice_sent);
  ASSERT_TRUE(t_.defer(again, t_.now()));
  EXPECT_TRUE(t_.claim({"one.example"}).at(0).recipients[0].delay_notice_sent);
}

TEST_P(StoreConformance, ABounceIsAcceptedWithTheEndOfItsRecipient) {
  const auto id = t_.accept(t_.message({"a@one.example"})).value().id;
  const Claim claim = t_.claim({"one.example"}).at(0);
  Accept bounce = t_.message({"sender@source.example"});
  const QueueId bounce_id = bounce.meta.id;
  bounce.body.reset();
  bounce.body_of = id;
  bounce.meta.is_bounce = true;
  bounce.meta.reverse_path = {};
  bounce.prefix = "Subject: failed\r\n\r\n";
  bounce.suffix = "--end--\r\n";
  Batch batch;
  batch.accept.push_back(std::move(bounce));
  batch.complete.push_back(
      {claim.recipients[0].id, claim.token, RecipientState::bounced, "550 5.1.1 no", "mx"});
  ASSERT_TRUE(t_.apply(std::move(batch)));

  EXPECT_FALSE(t_.content(id));
  EXPECT_EQ(t_.content(bounce_id).value(), "Subject: failed\r\n\r\nSubject: x\r\n\r\nHello\r\n--end--\r\n");
  const auto claims = t_.claim({"source.example"});
  ASSERT_THAT(claims, SizeIs(1));
  ASSERT_TRUE(t_.complete(claims[0]));
  EXPECT_FALSE(t_.content(bounce_id));
  EXPECT_EQ(run_to_end(store().stats()).value().bytes, 0u);
}

// What tells of an end comes with it or not at all.
TEST_P(StoreConformance, NothingIsKeptOfABatchThatSpeaksOfAStaleEnd) {
  const auto id = t_.accept(t_.message({"a@one.example", "b@one.example"})).value().id;
  const Claim claim = t_.claim({"one.example"}).at(0);
  const RecipientId gone = claim.recipients[0].id, ours = claim.recipients[1].id;
  ASSERT_TRUE(t_.change(OperatorChange::What::remove, {gone}));
  const auto speak = [&](std::vector<RecipientId> of) {
    Batch batch;
    batch.refuse_if_stale = true;
    Accept bounce = t_.message({"sender@source.example"});
    bounce.body.reset();
    bounce.body_of = id;
    batch.accept.push_back(std::move(bounce));
    for (const RecipientId r : of)
      batch.complete.push_back({r, claim.token, RecipientState::bounced, "550 5.1.1 no", "mx"});
    batch.history.push_back({id, t_.now(), "bounced", "{}"});
    return t_.apply(std::move(batch)).value();
  };
  const ApplyResult refused = speak({ours, gone});
  EXPECT_TRUE(refused.refused);
  EXPECT_THAT(refused.stale, ElementsAre(gone));
  EXPECT_THAT(refused.accepted, IsEmpty());
  EXPECT_THAT(t_.claim({"source.example"}), IsEmpty()) << "no bounce";
  EXPECT_THAT(run_to_end(store().history(id)).value(), IsEmpty());
  const auto left = t_.list();
  ASSERT_THAT(left, SizeIs(1));
  EXPECT_EQ(left[0].state, RecipientState::queued);
  EXPECT_TRUE(left[0].in_hand) << "the claim on the other still holds";

  const ApplyResult taken = speak({ours});
  EXPECT_FALSE(taken.refused);
  EXPECT_THAT(taken.stale, IsEmpty());
  EXPECT_THAT(t_.claim({"source.example"}), SizeIs(1));
  EXPECT_FALSE(t_.content(id));
  EXPECT_TRUE(speak({ours}).refused) << "a second end is not told either";
}

TEST_P(StoreConformance, ADeferralMayBeTheStaleOne) {
  ASSERT_TRUE(t_.accept(t_.message({"a@one.example", "b@one.example"})));
  const Claim claim = t_.claim({"one.example"}).at(0);
  ASSERT_TRUE(t_.change(OperatorChange::What::remove, {claim.recipients[1].id}));
  Batch batch;
  batch.refuse_if_stale = true;
  batch.complete.push_back({claim.recipients[0].id, claim.token, RecipientState::delivered, "", ""});
  Defer defer;
  defer.recipient = claim.recipients[1].id;
  defer.token = claim.token;
  defer.next_attempt = t_.now() + 5min;
  batch.defer.push_back(defer);
  const auto result = t_.apply(std::move(batch)).value();
  EXPECT_TRUE(result.refused);
  EXPECT_THAT(result.stale, ElementsAre(claim.recipients[1].id));
  EXPECT_THAT(t_.list(), SizeIs(1));
}

}  // namespace
}  // namespace holdfast
