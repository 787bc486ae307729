// What every engine of the store keeps: what it took in, once per key, over a restart too. Ends, claims,
// bodies, operators' changes and lists are in the store_*_test.cc beside it. Here are the engines, too.
#include "tests/queue/store_conformance.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "tests/fakes/memory_store.h"
#include "tests/queue/sqlite_under_test.h"

namespace holdfast {

using namespace std::chrono_literals;
using testing::IsEmpty;
using testing::SizeIs;

namespace {

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
