#include "tests/queue/store_conformance.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "tests/fakes/memory_store.h"
#include "tests/queue/sqlite_under_test.h"

namespace holdfast {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

namespace {

Mailbox mailbox(const std::string& text) {
  const auto at = text.rfind('@');
  return make_mailbox(text.substr(0, at), text.substr(at + 1));
}

class MemoryUnderTest final : public StoreUnderTest {
 public:
  Store& store() override { return store_; }
  Quota& quota() override { return store_; }
  FakeClock& clock() override { return clock_; }
  bool durable() const override { return false; }
  void reopen() override {}

 private:
  FakeClock clock_;
  MemoryStore store_{clock_};
};

}  // namespace

Accept StoreTest::message(std::vector<std::string> recipients, const std::string& body) {
  Accept accept;
  accept.meta.accepted = now();
  accept.meta.release = now();
  accept.meta.expires = now() + 5 * 24h;
  accept.meta.id = QueueId::make(now(), *random_);
  accept.meta.origin = "submission";
  accept.meta.user = "app";
  accept.meta.reverse_path = mailbox("sender@source.example");
  accept.meta.message_id = "<1@source.example>";
  accept.prefix = "Received: from client\r\n";
  accept.body = store().stage_body();
  EXPECT_TRUE(run_to_end(accept.body->write(body)));
  EXPECT_TRUE(run_to_end(accept.body->finish()));
  for (const auto& recipient : recipients) accept.recipients.push_back({mailbox(recipient), {}});
  return accept;
}

Result<Accepted> StoreTest::accept(Accept accept) {
  Batch batch;
  batch.accept.push_back(std::move(accept));
  auto result = apply(std::move(batch));
  if (!result) return result.error();
  return std::move(result->accepted.at(0));
}

std::vector<Claim> StoreTest::claim(std::vector<std::string> domains, std::size_t n, Duration lease) {
  return run_to_end(store().claim(std::move(domains), n, now(), "test", lease)).value();
}

std::vector<DueDomain> StoreTest::due() {
  auto domains = run_to_end(store().due(now(), 100)).value().domains;
  std::ranges::sort(domains, {}, &DueDomain::domain);
  return domains;
}

Result<std::string> StoreTest::content(QueueId id) {
  auto body = run_to_end(store().open_body(id));
  if (!body) return body.error();
  std::string all;
  while (true) {
    auto chunk = run_to_end((*body)->next());
    if (!chunk) return chunk.error();
    if (chunk->empty()) break;
    all += *chunk;
  }
  EXPECT_EQ((*body)->size(), all.size());
  return all;
}

Result<ApplyResult> StoreTest::complete(const Claim& claim, RecipientState state) {
  Batch batch;
  for (const auto& recipient : claim.recipients)
    batch.complete.push_back({recipient.id, claim.token, state, "250 2.0.0 ok", "mx.example [192.0.2.1]"});
  return apply(std::move(batch));
}

Result<ApplyResult> StoreTest::defer(const Claim& claim, WallTime next) {
  Batch batch;
  for (const auto& recipient : claim.recipients) {
    Defer defer;
    defer.recipient = recipient.id;
    defer.token = claim.token;
    defer.next_attempt = next;
    defer.reason = "451 4.7.1 try later";
    batch.defer.push_back(defer);
  }
  return apply(std::move(batch));
}

Result<ApplyResult> StoreTest::change(OperatorChange::What what, std::vector<RecipientId> recipients) {
  Batch batch;
  batch.changes.push_back({what, std::move(recipients), ""});
  return apply(std::move(batch));
}

namespace {

class StoreConformance : public testing::TestWithParam<StoreEngine> {
 protected:
  StoreConformance() : engine_(GetParam().make()), t_(*engine_) {}
  Store& store() { return engine_->store(); }

  std::unique_ptr<StoreUnderTest> engine_;
  StoreTest t_;
};

INSTANTIATE_TEST_SUITE_P(Engines, StoreConformance,
                         testing::Values(StoreEngine{"memory",
                                                     [] { return std::make_unique<MemoryUnderTest>(); }},
                                         StoreEngine{"sqlite", [] { return make_sqlite_under_test(); }}),
                         [](const auto& engine) { return engine.param.name; });

TEST_P(StoreConformance, GivesBackWhatItAccepted) {
  Accept sent = t_.message({"a@one.example"});
  sent.meta.envelope_id = "QQ314159";
  sent.meta.dsn_return = DsnReturn::headers;
  sent.meta.body_type = BodyType::eight_bit;
  sent.meta.smtputf8 = true;
  sent.meta.tls.requiretls = true;
  sent.meta.counts_in_tlsrpt = false;
  sent.meta.is_bounce = true;
  sent.recipients[0].dsn = {kNotifySuccess | kNotifyDelay, "rfc822;a@one.example"};
  const MessageMeta meta = sent.meta;
  const auto accepted = t_.accept(std::move(sent));
  ASSERT_TRUE(accepted);
  EXPECT_EQ(accepted->id, meta.id);
  EXPECT_FALSE(accepted->duplicate);
  EXPECT_THAT(accepted->claims, IsEmpty());

  const auto claims = t_.claim({"one.example"});
  ASSERT_THAT(claims, SizeIs(1));
  const MessageMeta& got = *claims[0].meta;
  EXPECT_EQ(claims[0].domain, "one.example");
  EXPECT_EQ(got.id, meta.id);
  EXPECT_EQ(got.origin, "submission");
  EXPECT_EQ(got.user, "app");
  EXPECT_EQ(got.reverse_path.text(), "sender@source.example");
  EXPECT_EQ(got.envelope_id, "QQ314159");
  EXPECT_EQ(got.dsn_return, DsnReturn::headers);
  EXPECT_EQ(got.body_type, BodyType::eight_bit);
  EXPECT_TRUE(got.smtputf8);
  EXPECT_TRUE(got.tls.requiretls);
  EXPECT_FALSE(got.tls.tls_required_no);
  EXPECT_FALSE(got.counts_in_tlsrpt);
  EXPECT_TRUE(got.is_bounce);
  EXPECT_EQ(got.message_id, "<1@source.example>");
  EXPECT_EQ(got.accepted, meta.accepted);
  EXPECT_EQ(got.release, meta.release);
  EXPECT_EQ(got.expires, meta.expires);
  EXPECT_EQ(got.prefix_size, 23u);
  EXPECT_EQ(got.body_size, 21u);
  ASSERT_THAT(claims[0].recipients, SizeIs(1));
  const ClaimedRecipient& recipient = claims[0].recipients[0];
  EXPECT_EQ(recipient.address.text(), "a@one.example");
  EXPECT_EQ(recipient.dsn.notify, kNotifySuccess | kNotifyDelay);
  EXPECT_EQ(recipient.dsn.original_recipient, "rfc822;a@one.example");
  EXPECT_EQ(recipient.attempts, 0u);
  EXPECT_FALSE(recipient.delay_notice_sent);
  EXPECT_EQ(t_.content(meta.id).value(), "Received: from client\r\nSubject: x\r\n\r\nHello\r\n");
}

TEST_P(StoreConformance, KeepsTheNullReversePath) {
  Accept sent = t_.message({"a@one.example"});
  sent.meta.reverse_path = {};
  ASSERT_TRUE(t_.accept(std::move(sent)));
  EXPECT_TRUE(t_.claim({"one.example"}).at(0).meta->reverse_path.empty());
}

TEST_P(StoreConformance, KeepsQuotedAndInternationalAddresses) {
  ASSERT_TRUE(t_.accept(t_.message({"\"a b@c\"@one.example", "d\xc3\xb6rte@one.example", "x@[192.0.2.1]"})));
  const auto claims = t_.claim({"one.example", "[192.0.2.1]"});
  std::set<std::string> got;
  for (const auto& claim : claims)
    for (const auto& recipient : claim.recipients) got.insert(recipient.address.text());
  EXPECT_EQ(got,
            (std::set<std::string>{"\"a b@c\"@one.example", "d\xc3\xb6rte@one.example", "x@[192.0.2.1]"}));
}

TEST_P(StoreConformance, RefusesAMessageWithoutRecipients) {
  const auto accepted = t_.accept(t_.message({}));
  ASSERT_FALSE(accepted);
  EXPECT_TRUE(accepted.error().is(StoreError::rejected));
}

TEST_P(StoreConformance, TakesNothingOfABatchThatBreaksARule) {
  Accept first = t_.message({"a@one.example"});
  const QueueId id = first.meta.id;
  ASSERT_TRUE(t_.accept(std::move(first)));
  Accept sound = t_.message({"b@two.example"});
  Accept twice = t_.message({"c@three.example"});
  twice.meta.id = id;
  Batch batch;
  batch.accept.push_back(std::move(sound));
  batch.accept.push_back(std::move(twice));
  const auto result = t_.apply(std::move(batch));
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().is(StoreError::rejected)) << result.error().text();
  EXPECT_THAT(t_.list(), SizeIs(1));
  EXPECT_FALSE(store().failed());
  EXPECT_TRUE(t_.accept(t_.message({"d@four.example"})));
}

TEST_P(StoreConformance, GroupsAClaimByMessageAndDomain) {
  ASSERT_TRUE(t_.accept(t_.message({"a@one.example", "b@two.example", "c@one.example"})));
  ASSERT_TRUE(t_.accept(t_.message({"d@one.example"})));
  const auto claims = t_.claim({"one.example", "two.example"});
  ASSERT_THAT(claims, SizeIs(3));
  std::multiset<std::pair<std::string, std::size_t>> groups;
  std::set<std::uint64_t> tokens;
  for (const auto& claim : claims) {
    groups.emplace(claim.domain, claim.recipients.size());
    tokens.insert(claim.token.value);
  }
  EXPECT_EQ(groups, (std::multiset<std::pair<std::string, std::size_t>>{
                        {"one.example", 1}, {"one.example", 2}, {"two.example", 1}}));
  EXPECT_THAT(tokens, SizeIs(3));
}

TEST_P(StoreConformance, ClaimsOnlyTheDomainsAskedFor) {
  ASSERT_TRUE(t_.accept(t_.message({"a@one.example", "b@two.example"})));
  EXPECT_THAT(t_.claim({"three.example"}), IsEmpty());
  EXPECT_THAT(t_.claim({"two.example"}), SizeIs(1));
  EXPECT_THAT(t_.claim({"one.example"}), SizeIs(1));
}

TEST_P(StoreConformance, ClaimsNoMoreThanAskedForAndTheOldestFirst) {
  std::vector<QueueId> ids;
  for (int i = 0; i < 5; ++i) {
    ids.push_back(
        t_.accept(t_.message({"a@" + std::string(i % 2 == 0 ? "one" : "two") + ".example"})).value().id);
    engine_->clock().advance(1s);
  }
  std::vector<QueueId> got;
  for (const auto& claim : t_.claim({"two.example", "one.example"}, 3)) got.push_back(claim.meta->id);
  EXPECT_THAT(got, ElementsAre(ids[0], ids[1], ids[2]));
  got.clear();
  for (const auto& claim : t_.claim({"two.example", "one.example"}, 3)) got.push_back(claim.meta->id);
  EXPECT_THAT(got, ElementsAre(ids[3], ids[4]));
}

TEST_P(StoreConformance, GivesARecipientToOneClaimOnly) {
  ASSERT_TRUE(t_.accept(t_.message({"a@one.example"})));
  EXPECT_THAT(t_.claim({"one.example"}), SizeIs(1));
  EXPECT_THAT(t_.claim({"one.example"}), IsEmpty());
  EXPECT_THAT(t_.due(), IsEmpty());
}

TEST_P(StoreConformance, HandsFreshMailOutAtOnceWhenAsked) {
  Accept sent = t_.message({"a@one.example", "b@two.example", "c@one.example"});
  sent.claim = true;
  const auto accepted = t_.accept(std::move(sent));
  ASSERT_TRUE(accepted);
  ASSERT_THAT(accepted->claims, SizeIs(2));
  EXPECT_THAT(t_.due(), IsEmpty());
  EXPECT_THAT(t_.claim({"one.example", "two.example"}), IsEmpty());
  for (const auto& claim : accepted->claims) {
    EXPECT_EQ(claim.meta->id, accepted->id);
    const auto done = t_.complete(claim);
    ASSERT_TRUE(done);
    EXPECT_THAT(done->stale, IsEmpty());
  }
  EXPECT_THAT(t_.list(), IsEmpty());
}

TEST_P(StoreConformance, AMessageForLaterIsNotDueBeforeItsRelease) {
  Accept sent = t_.message({"a@one.example"});
  sent.meta.release = t_.now() + 1h;
  sent.claim = true;
  const auto accepted = t_.accept(std::move(sent));
  EXPECT_THAT(accepted->claims, IsEmpty());
  EXPECT_THAT(t_.claim({"one.example"}), IsEmpty());
  const auto due = run_to_end(store().due(t_.now(), 10)).value();
  EXPECT_THAT(due.domains, IsEmpty());
  EXPECT_EQ(due.next, t_.now() + 1h);
  engine_->clock().advance(1h);
  EXPECT_THAT(t_.due(), SizeIs(1));
  EXPECT_THAT(t_.claim({"one.example"}), SizeIs(1));
}

TEST_P(StoreConformance, NamesTheDomainsThatAreDue) {
  ASSERT_TRUE(t_.accept(t_.message({"a@one.example", "b@one.example", "c@two.example"})));
  ASSERT_TRUE(t_.accept(t_.message({"d@one.example"})));
  const auto due = t_.due();
  ASSERT_THAT(due, SizeIs(2));
  EXPECT_EQ(due[0].domain, "one.example");
  EXPECT_EQ(due[0].due, 3u);
  EXPECT_EQ(due[1].domain, "two.example");
  EXPECT_EQ(due[1].due, 1u);
}

TEST_P(StoreConformance, EveryDueDomainHasItsTurn) {
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(t_.accept(t_.message({"a@d" + std::to_string(i) + ".example"})));
  std::set<std::string> seen;
  for (int i = 0; i < 4; ++i) {
    const auto due = run_to_end(store().due(t_.now(), 3)).value();
    EXPECT_LE(due.domains.size(), 3u);
    for (const auto& domain : due.domains) seen.insert(domain.domain);
  }
  EXPECT_THAT(seen, SizeIs(10));
}

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

TEST_P(StoreConformance, AClaimComesFreeWhenItsLeaseRunsOut) {
  ASSERT_TRUE(t_.accept(t_.message({"a@one.example"})));
  const Claim first = t_.claim({"one.example"}, 10, 1min).at(0);
  engine_->clock().advance(61s);
  EXPECT_THAT(t_.due(), SizeIs(1));
  const auto second = t_.claim({"one.example"});
  ASSERT_THAT(second, SizeIs(1));
  EXPECT_NE(second[0].token.value, first.token.value);
  EXPECT_THAT(t_.complete(first)->stale, ElementsAre(first.recipients[0].id));
  EXPECT_THAT(t_.list(), SizeIs(1));
  EXPECT_THAT(t_.complete(second[0])->stale, IsEmpty());
}

TEST_P(StoreConformance, ALateCompletionCountsWhileNobodyTookOver) {
  ASSERT_TRUE(t_.accept(t_.message({"a@one.example"})));
  const Claim claim = t_.claim({"one.example"}, 10, 1min).at(0);
  engine_->clock().advance(61s);
  EXPECT_THAT(t_.complete(claim)->stale, IsEmpty());
  EXPECT_THAT(t_.claim({"one.example"}), IsEmpty());
}

TEST_P(StoreConformance, ARenewedLeaseHolds) {
  ASSERT_TRUE(t_.accept(t_.message({"a@one.example"})));
  const Claim claim = t_.claim({"one.example"}, 10, 1min).at(0);
  engine_->clock().advance(50s);
  EXPECT_TRUE(run_to_end(store().renew(claim.token, 1min)).value());
  engine_->clock().advance(50s);
  EXPECT_THAT(t_.claim({"one.example"}), IsEmpty());
  ASSERT_TRUE(t_.complete(claim));
  EXPECT_FALSE(run_to_end(store().renew(claim.token, 1min)).value());
  EXPECT_FALSE(run_to_end(store().renew(ClaimToken{}, 1min)).value());
}

TEST_P(StoreConformance, AnIdempotencyKeyIsAnsweredWithTheFirstId) {
  Accept first = t_.message({"a@one.example"});
  first.meta.idempotency_key = "report 1";
  const auto id = t_.accept(std::move(first)).value().id;
  Accept second = t_.message({"a@one.example"});
  second.meta.idempotency_key = "report 1";
  second.claim = true;
  const auto answer = t_.accept(std::move(second));
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->duplicate);
  EXPECT_EQ(answer->id, id);
  EXPECT_THAT(answer->claims, IsEmpty());
  EXPECT_THAT(t_.list(), SizeIs(1));
}

TEST_P(StoreConformance, AnIdempotencyKeySurvivesItsMessageForEightDays) {
  Accept first = t_.message({"a@one.example"});
  first.meta.idempotency_key = "report 1";
  const auto id = t_.accept(std::move(first)).value().id;
  ASSERT_TRUE(t_.complete(t_.claim({"one.example"}).at(0)));
  engine_->clock().advance(8 * 24h);
  Accept second = t_.message({"a@one.example"});
  second.meta.idempotency_key = "report 1";
  const auto answer = t_.accept(std::move(second)).value();
  EXPECT_TRUE(answer.duplicate);
  EXPECT_EQ(answer.id, id);
}

TEST_P(StoreConformance, TheSameKeyTwiceInOneBatchIsOneMessage) {
  Batch batch;
  for (int i = 0; i < 2; ++i) {
    batch.accept.push_back(t_.message({"a@one.example"}));
    batch.accept.back().meta.idempotency_key = "k";
  }
  const auto result = t_.apply(std::move(batch));
  ASSERT_TRUE(result);
  EXPECT_FALSE(result->accepted[0].duplicate);
  EXPECT_TRUE(result->accepted[1].duplicate);
  EXPECT_EQ(result->accepted[0].id, result->accepted[1].id);
  EXPECT_THAT(t_.list(), SizeIs(1));
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

TEST_P(StoreConformance, ASharedBodyLastsAsLongAsItsLongestHolder) {
  const std::string text = "Subject: x\r\n\r\n" + std::string(1000, 'y') + "\r\n";
  const auto id = t_.accept(t_.message({"a@one.example"}, text)).value().id;
  std::vector<QueueId> sharers;
  for (int i = 0; i < 2; ++i) {
    Accept sharer = t_.message({"s" + std::to_string(i) + "@source.example"});
    sharer.body.reset();
    sharer.body_of = i == 0 ? id : sharers[0];
    sharer.prefix = "P\r\n";
    sharers.push_back(sharer.meta.id);
    ASSERT_TRUE(t_.accept(std::move(sharer)));
  }
  auto claims = t_.claim({"source.example"}, 1);
  ASSERT_TRUE(t_.complete(claims.at(0)));
  EXPECT_TRUE(t_.content(id));
  EXPECT_EQ(t_.content(sharers[1]).value(), "P\r\n" + text);
  ASSERT_TRUE(t_.complete(t_.claim({"one.example"}).at(0)));
  EXPECT_EQ(t_.content(sharers[1]).value(), "P\r\n" + text);
  claims = t_.claim({"source.example"}, 1);
  ASSERT_TRUE(t_.complete(claims.at(0)));
  EXPECT_FALSE(t_.content(sharers[1]));
}

TEST_P(StoreConformance, ABodyOfAMessageThatIsGoneIsNotFound) {
  Accept orphan = t_.message({"a@one.example"});
  orphan.body.reset();
  orphan.body_of = QueueId{};
  const auto result = t_.accept(std::move(orphan));
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().is(StoreError::not_found));
  EXPECT_THAT(t_.list(), IsEmpty());
}

TEST_P(StoreConformance, AMessageMayBeAllPrefix) {
  Accept bare = t_.message({"a@one.example"});
  bare.body.reset();
  bare.prefix = "Subject: headers only\r\n\r\ntext\r\n";
  const auto id = t_.accept(std::move(bare)).value().id;
  EXPECT_EQ(t_.content(id).value(), "Subject: headers only\r\n\r\ntext\r\n");
}

TEST_P(StoreConformance, ReadsTheHeaderSectionWithItsPrefix) {
  const auto id =
      t_.accept(t_.message({"a@one.example"}, "Subject: x\r\nTo: y\r\n\r\nHello\r\n\r\nmore\r\n")).value().id;
  EXPECT_EQ(run_to_end(store().read_header(id)).value(), "Received: from client\r\nSubject: x\r\nTo: y\r\n");
  EXPECT_TRUE(run_to_end(store().read_header(QueueId{})).error().is(StoreError::not_found));
}

TEST_P(StoreConformance, KeepsABodyOfAnySizeToTheOctet) {
  auto random = make_system_random();
  for (const std::size_t size : {0u, 1u, 4095u, 65'536u, 262'144u, 262'145u, 1'000'003u, 3'000'000u}) {
    std::string body(size, '\0');
    for (char& c : body) c = static_cast<char>(random->next());
    const auto id = t_.accept(t_.message({"a@one.example"}, body)).value().id;
    const auto content = t_.content(id);
    ASSERT_TRUE(content) << size << " " << content.error().text();
    EXPECT_TRUE(content.value() == "Received: from client\r\n" + body) << size;
  }
}

TEST_P(StoreConformance, KeepsALargeBodyWrittenInSmallPieces) {
  Accept accept = t_.message({"a@one.example"});
  accept.body = store().stage_body();
  std::string all;
  for (int i = 0; i < 700; ++i) {
    const std::string piece(1000, static_cast<char>('a' + i % 26));
    all += piece;
    ASSERT_TRUE(run_to_end(accept.body->write(piece)));
  }
  ASSERT_TRUE(run_to_end(accept.body->finish()));
  EXPECT_EQ(accept.body->size(), all.size());
  const auto id = t_.accept(std::move(accept)).value().id;
  EXPECT_TRUE(t_.content(id).value() == "Received: from client\r\n" + all);
}

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

TEST_P(StoreConformance, ListsByEveryFilter) {
  Accept first = t_.message({"Anna@one.example", "bert@two.example"});
  const QueueId first_id = first.meta.id;
  ASSERT_TRUE(t_.accept(std::move(first)));
  engine_->clock().advance(1h);
  Accept second = t_.message({"carl@one.example"});
  second.meta.user = "other";
  second.meta.reverse_path = mailbox("boss@corp.example");
  ASSERT_TRUE(t_.accept(std::move(second)));
  auto count = [&](auto set) {
    QueueFilter filter;
    set(filter);
    return t_.list(filter).size();
  };
  EXPECT_EQ(count([](QueueFilter&) {}), 3u);
  EXPECT_EQ(count([](QueueFilter& f) { f.to = "anna"; }), 1u);
  EXPECT_EQ(count([](QueueFilter& f) { f.from = "CORP"; }), 1u);
  EXPECT_EQ(count([](QueueFilter& f) { f.user = "other"; }), 1u);
  EXPECT_EQ(count([](QueueFilter& f) { f.domain = "one.example"; }), 2u);
  EXPECT_EQ(count([&](QueueFilter& f) { f.id = first_id; }), 2u);
  EXPECT_EQ(count([&](QueueFilter& f) { f.accepted_before = t_.now() - 30min; }), 2u);
  EXPECT_EQ(count([](QueueFilter& f) { f.state = RecipientState::held; }), 0u);
  EXPECT_EQ(count([](QueueFilter& f) { f.limit = 2; }), 2u);
  EXPECT_EQ(count([](QueueFilter& f) { f.error = "4.7.1"; }), 0u);
}

TEST_P(StoreConformance, AUserIsFoundByTheWholeName) {
  Accept other = t_.message({"a@one.example"});
  other.meta.user = "app2";
  ASSERT_TRUE(t_.accept(std::move(other)));
  ASSERT_TRUE(t_.accept(t_.message({"b@one.example"})));
  QueueFilter filter;
  filter.user = "app";
  const auto rows = t_.list(filter);
  ASSERT_THAT(rows, SizeIs(1));
  EXPECT_EQ(rows[0].to, "b@one.example");
}

TEST_P(StoreConformance, RemembersWhatHasEndedTheNewestFirst) {
  const auto first = t_.accept(t_.message({"a@one.example"})).value().id;
  engine_->clock().advance(1h);
  Accept second = t_.message({"b@two.example"});
  second.recipients[0].dsn.notify = kNotifySuccess;
  second.recipients[0].dsn.original_recipient = "rfc822;b@two.example";
  ASSERT_TRUE(t_.accept(std::move(second)));
  Batch told;
  told.history.push_back({first, t_.now(), "deferred", R"({"reply":"450 4.2.0 Greylisted"})"});
  ASSERT_TRUE(t_.apply(std::move(told)));
  ASSERT_TRUE(t_.complete(t_.claim({"one.example"}).at(0)));

  EXPECT_THAT(t_.list(), SizeIs(1)) << "the queue itself holds what has not ended";
  QueueFilter filter;
  filter.remembered = true;
  filter.newest_first = true;
  auto rows = t_.list(filter);
  ASSERT_THAT(rows, SizeIs(2));
  EXPECT_EQ(rows[0].to, "b@two.example");
  EXPECT_EQ(rows[0].dsn.notify, kNotifySuccess);
  EXPECT_EQ(rows[0].dsn.original_recipient, "rfc822;b@two.example");
  EXPECT_EQ(rows[0].ended, std::nullopt);
  EXPECT_EQ(rows[1].state, RecipientState::delivered);
  EXPECT_EQ(rows[1].mx, "mx.example [192.0.2.1]");
  EXPECT_EQ(rows[1].address, mailbox("a@one.example"));
  EXPECT_EQ(rows[1].ended, t_.now());

  filter.limit = 1;
  filter.after = rows[0].recipient;
  EXPECT_EQ(t_.list(filter).at(0).to, "a@one.example") << "pages go down";
  filter = {};
  filter.remembered = true;
  filter.error = "greylisted";
  EXPECT_THAT(t_.list(filter), SizeIs(1)) << "an error that is not the last word is found too";
  filter.error.clear();
  filter.accepted_since = t_.now() - 30min;
  EXPECT_THAT(t_.list(filter), SizeIs(1));
  filter = {};
  filter.id = first;
  EXPECT_THAT(t_.list(filter), IsEmpty());
  filter.remembered = true;
  EXPECT_THAT(t_.list(filter), SizeIs(1));
  filter.newest_first = true;
  EXPECT_THAT(t_.list(filter), SizeIs(1));
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

TEST_P(StoreConformance, PagesThroughAList) {
  for (int i = 0; i < 7; ++i) ASSERT_TRUE(t_.accept(t_.message({"a@one.example", "b@one.example"})));
  QueueFilter filter;
  filter.limit = 3;
  std::set<RecipientId> seen;
  while (true) {
    const auto rows = t_.list(filter);
    if (rows.empty()) break;
    for (const auto& row : rows) EXPECT_TRUE(seen.insert(row.recipient).second);
    filter.after = rows.back().recipient;
  }
  EXPECT_THAT(seen, SizeIs(14));
}

TEST_P(StoreConformance, ListSaysWhatIsInHand) {
  ASSERT_TRUE(t_.accept(t_.message({"a@one.example", "b@two.example"})));
  t_.claim({"two.example"});
  const auto rows = t_.list();
  ASSERT_THAT(rows, SizeIs(2));
  EXPECT_FALSE(rows[0].in_hand);
  EXPECT_TRUE(rows[1].in_hand);
}

TEST_P(StoreConformance, KeepsHistoryInOrder) {
  const auto id = t_.accept(t_.message({"a@one.example"})).value().id;
  Batch batch;
  batch.history.push_back({id, t_.now(), "attempt", R"({"mx":"a"})"});
  batch.history.push_back({id, t_.now(), "deferred", "{}"});
  ASSERT_TRUE(t_.apply(std::move(batch)));
  Batch later;
  later.history.push_back({id, t_.now() + 1s, "delivered", "{}"});
  ASSERT_TRUE(t_.apply(std::move(later)));
  const auto history = run_to_end(store().history(id)).value();
  ASSERT_THAT(history, SizeIs(3));
  EXPECT_EQ(history[0].event, "attempt");
  EXPECT_EQ(history[0].detail, R"({"mx":"a"})");
  EXPECT_EQ(history[0].at, t_.now());
  EXPECT_EQ(history[1].event, "deferred");
  EXPECT_EQ(history[2].event, "delivered");
  EXPECT_THAT(run_to_end(store().history(QueueId{})).value(), IsEmpty());
}

TEST_P(StoreConformance, CountsWhatItHolds) {
  ASSERT_TRUE(t_.accept(t_.message({"a@one.example", "b@two.example"})));
  const WallTime oldest = t_.now();
  engine_->clock().advance(1s);
  ASSERT_TRUE(t_.accept(t_.message({"c@three.example"})));
  ASSERT_TRUE(t_.defer(t_.claim({"two.example"}).at(0), t_.now() + 1h));
  const auto stats = run_to_end(store().stats()).value();
  EXPECT_EQ(stats.messages, 2u);
  EXPECT_EQ(stats.recipients_queued, 2u);
  EXPECT_EQ(stats.recipients_deferred, 1u);
  EXPECT_EQ(stats.bytes, 2u * (23 + 21));
  ASSERT_TRUE(stats.oldest);
  EXPECT_LE(std::chrono::abs(*stats.oldest - oldest), 1ms);
  EXPECT_GT(stats.total_bytes, 0u);
}

TEST_P(StoreConformance, AQuotaIsTakenAndRefilled) {
  const Rate rate{10, 10'000ms};
  auto take = [&](std::uint64_t n) {
    return run_to_end(engine_->quota().take("user/app/messages", rate, n)).value();
  };
  EXPECT_TRUE(take(8));
  EXPECT_FALSE(take(3));
  EXPECT_TRUE(take(2));
  EXPECT_FALSE(take(1));
  engine_->clock().advance(3s);
  EXPECT_FALSE(take(4));
  EXPECT_TRUE(take(3));
  engine_->clock().advance(1h);
  EXPECT_FALSE(take(11));
  EXPECT_TRUE(take(10));
  EXPECT_TRUE(run_to_end(engine_->quota().take("user/other/messages", rate, 10)).value());
  EXPECT_TRUE(run_to_end(engine_->quota().take("k", Rate{}, 1'000'000)).value());
}

TEST_P(StoreConformance, NothingIsTakenAfterClose) {
  run_to_end(store().close());
  const auto refused = t_.apply({});
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(StoreError::closed));
}

TEST_P(StoreConformance, EverythingIsThereAfterARestart) {
  if (!engine_->durable()) GTEST_SKIP() << "this engine forgets";
  Accept keyed = t_.message({"a@one.example", "b@two.example"}, std::string(400'000, 'z'));
  keyed.meta.idempotency_key = "k1";
  const auto id = t_.accept(std::move(keyed)).value().id;
  ASSERT_TRUE(t_.accept(t_.message({"c@three.example"})));
  ASSERT_TRUE(t_.defer(t_.claim({"two.example"}).at(0), t_.now() + 1h));
  ASSERT_TRUE(t_.complete(t_.claim({"three.example"}).at(0)));
  const Claim lost = t_.claim({"one.example"}).at(0);
  const auto before = run_to_end(store().stats()).value();
  ASSERT_TRUE(run_to_end(engine_->quota().take("q", Rate{5, 3'600'000ms}, 5)).value());

  engine_->reopen();

  EXPECT_THAT(t_.complete(lost)->stale, SizeIs(1)) << "a restart voids all leases";
  const auto due = t_.due();
  ASSERT_THAT(due, SizeIs(1));
  EXPECT_EQ(due[0].domain, "one.example");
  EXPECT_EQ(run_to_end(store().due(t_.now(), 10))->next, t_.now() + 1h);
  EXPECT_TRUE(t_.content(id).value() == "Received: from client\r\n" + std::string(400'000, 'z'));
  const auto after = run_to_end(store().stats()).value();
  EXPECT_EQ(after.messages, before.messages);
  EXPECT_EQ(after.bytes, before.bytes);
  EXPECT_EQ(after.recipients_queued, before.recipients_queued);
  EXPECT_EQ(after.recipients_deferred, before.recipients_deferred);
  EXPECT_FALSE(run_to_end(engine_->quota().take("q", Rate{5, 3'600'000ms}, 1)).value());
  Accept again = t_.message({"a@one.example"});
  again.meta.idempotency_key = "k1";
  EXPECT_EQ(t_.accept(std::move(again)).value().id, id);
  EXPECT_TRUE(t_.accept(t_.message({"d@four.example"})));
  EXPECT_THAT(t_.list(), SizeIs(3));
}

}  // namespace
}  // namespace holdfast
