#include "queue/operator_change.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "queue/queue_query.h"
#include "tests/fakes/capture.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fixed_settings.h"
#include "tests/fakes/memory_store.h"
#include "tests/fakes/recording_work.h"
#include "tests/fakes/run.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

Settings relay_settings() {
  Settings s;
  s.hostname = "relay.test";
  s.postmaster = "postmaster@relay.test";
  s.queue.bounce_expire = 24h;
  return s;
}

class Origin final : public OriginObserver {
 public:
  void recipient_ended(const RecipientEnd& end) override { ends.push_back(end); }
  std::vector<RecipientEnd> ends;
};

class OperatorChangeTest : public testing::Test {
 protected:
  QueueId accept(const std::vector<std::string>& to, std::uint8_t notify = 0) {
    Batch batch;
    Accept& accept = batch.accept.emplace_back();
    accept.meta.id = QueueId::make(clock_.wall(), *random_);
    accept.meta.origin = "submission";
    accept.meta.reverse_path = Mailbox::parse("shop@sender.test").value();
    accept.meta.accepted = accept.meta.release = timeline_.now();
    accept.meta.expires = timeline_.now() + 120h;
    accept.prefix = "Received: from here\r\n";
    accept.body = store_.stage_body();
    EXPECT_TRUE(run(accept.body->write("Subject: x\r\n\r\nthe body\r\n")));
    EXPECT_TRUE(run(accept.body->finish()));
    for (const auto& address : to) {
      NewRecipient recipient;
      recipient.address = Mailbox::parse(address).value();
      recipient.dsn.notify = notify;
      accept.recipients.push_back(recipient);
    }
    const QueueId id = accept.meta.id;
    EXPECT_TRUE(run(store_.apply(std::move(batch))));
    return id;
  }
  std::vector<QueueRow> rows(QueueFilter filter = {}) { return run(store_.list(filter)).value(); }
  ChangeCount apply(OperatorChange::What what, const std::string& reason = "") {
    return run(hand_.apply(what, rows(), reason)).value();
  }
  std::vector<Claim> claim(const std::string& domain) {
    return run(store_.claim({domain}, 10, timeline_.now(), "test", 10min)).value();
  }

  FakeClock clock_;
  Timeline timeline_{clock_};
  std::unique_ptr<Random> random_ = make_system_random();
  MemoryStore store_{clock_};
  RecordingWork work_;
  FixedSettings settings_{relay_settings()};
  CapturingLog log_;
  Origin origin_;
  OperatorHand hand_{
      OperatorHand::Parts{store_, work_, settings_, timeline_, *random_, log_, nullptr, &origin_}};
};

TEST_F(OperatorChangeTest, ABounceEndsTheRecipientsAndTellsTheSenderOnce) {
  const auto id = accept({"a@one.test", "b@two.test"});
  const auto count = apply(OperatorChange::What::bounce, "this domain is closed");
  EXPECT_EQ(count.changed, 2u);
  EXPECT_EQ(count.active, 0u);
  const auto left = rows();
  ASSERT_THAT(left, SizeIs(1)) << "one notification";
  EXPECT_EQ(left[0].to, "shop@sender.test");
  EXPECT_TRUE(left[0].meta->is_bounce);
  const auto text = store_.content(left[0].meta->id).value();
  for (const char* part : {"Final-Recipient: rfc822; a@one.test", "Final-Recipient: rfc822; b@two.test",
                           "Status: 5.0.0", "Action: failed", "this domain is closed", "the body"})
    EXPECT_THAT(text, HasSubstr(part));
  EXPECT_THAT(log_.events("bounced"), SizeIs(2));
  EXPECT_THAT(origin_.ends, SizeIs(2));
  EXPECT_EQ(origin_.ends[0].how, RecipientEnd::How::bounced);
  EXPECT_EQ(work_.looks, 1);
  const auto story = run(find_message(store_, id)).value();
  ASSERT_TRUE(story);
  EXPECT_THAT(story->recipients, SizeIs(2));
  ASSERT_THAT(story->history, SizeIs(1));
  EXPECT_EQ(story->history[0].event, "bounced");
  EXPECT_THAT(story->history[0].detail, HasSubstr("\"by\":\"operator\""));
}

TEST_F(OperatorChangeTest, ABounceIsSilentWhereTheSenderWantedSilence) {
  accept({"a@one.test"}, kNotifyNever);
  EXPECT_EQ(apply(OperatorChange::What::bounce).changed, 1u);
  EXPECT_THAT(rows(), SizeIs(0));
}

TEST_F(OperatorChangeTest, ABounceLeavesWhatIsBeingTriedAlone) {
  accept({"a@one.test", "b@two.test"});
  accept({"c@one.test"});
  ASSERT_THAT(claim("two.test"), SizeIs(1));
  const auto count = apply(OperatorChange::What::bounce);
  EXPECT_EQ(count.changed, 2u);
  EXPECT_EQ(count.active, 1u);
  QueueFilter bounced;
  bounced.state = RecipientState::bounced;
  EXPECT_THAT(rows(bounced), SizeIs(2));
}

TEST_F(OperatorChangeTest, ABounceNeverTellsOfWhatWasDeliveredInTheMeantime) {
  accept({"a@one.test", "b@two.test"});
  accept({"c@three.test"});
  auto stale = rows();
  // Between the look and the change: one is delivered, another taken in hand.
  for (const Claim& one : claim("one.test")) {
    Batch batch;
    batch.complete.push_back({one.recipients[0].id, one.token, RecipientState::delivered, "250 ok", "mx"});
    ASSERT_TRUE(run(store_.apply(std::move(batch))));
  }
  ASSERT_THAT(claim("three.test"), SizeIs(1));
  const auto count = run(hand_.apply(OperatorChange::What::bounce, std::move(stale), "")).value();
  EXPECT_EQ(count.changed, 1u);
  QueueFilter of_ours;
  of_ours.domain = "sender.test";
  const auto notifications = rows(of_ours);
  ASSERT_THAT(notifications, SizeIs(1));
  const auto text = store_.content(notifications[0].meta->id).value();
  EXPECT_THAT(text, HasSubstr("b@two.test"));
  EXPECT_THAT(text, Not(HasSubstr("a@one.test")));
}

TEST_F(OperatorChangeTest, ManyMessagesAreBouncedInFewTransactions) {
  for (int i = 0; i < 120; ++i) accept({"a@one.test"});
  const auto before = store_.applied();
  EXPECT_EQ(apply(OperatorChange::What::bounce).changed, 120u);
  EXPECT_EQ(store_.applied() - before, 3u);
}

TEST_F(OperatorChangeTest, EachChangeConcernsOnlyWhatItCanChange) {
  accept({"a@one.test", "b@two.test"});
  EXPECT_EQ(apply(OperatorChange::What::release).changed, 0u);
  EXPECT_EQ(apply(OperatorChange::What::hold).changed, 2u);
  EXPECT_EQ(apply(OperatorChange::What::hold).changed, 0u);
  EXPECT_EQ(apply(OperatorChange::What::retry).changed, 0u);
  EXPECT_EQ(apply(OperatorChange::What::release).changed, 2u);
  EXPECT_EQ(apply(OperatorChange::What::remove).changed, 2u);
  EXPECT_EQ(apply(OperatorChange::What::remove).changed, 0u);
  EXPECT_THAT(origin_.ends, SizeIs(2));
  EXPECT_EQ(origin_.ends[0].how, RecipientEnd::How::removed);
}

TEST_F(OperatorChangeTest, HistoryTellsWhatTheOperatorDid) {
  const auto id = accept({"a@one.test"});
  apply(OperatorChange::What::hold);
  apply(OperatorChange::What::release);
  apply(OperatorChange::What::remove);
  std::vector<std::string> events;
  for (const auto& entry : run(store_.history(id)).value()) events.push_back(entry.event);
  EXPECT_THAT(events, ElementsAre("held", "released", "removed"));
}

TEST(QueueWalkTest, WalksThroughPagesAndStopsAtItsLimit) {
  FakeClock clock;
  const Timeline timeline(clock);
  const auto random = make_system_random();
  MemoryStore store(clock);
  for (int i = 0; i < 2300; ++i) {
    Batch batch;
    Accept& accept = batch.accept.emplace_back();
    accept.meta.id = QueueId::make(clock.wall(), *random);
    accept.meta.expires = timeline.now() + 1h;
    accept.recipients.push_back({Mailbox::parse("a@one.test").value(), {}});
    ASSERT_TRUE(run(store.apply(std::move(batch))));
  }
  for (const auto& [limit, expected] : std::vector<std::pair<std::optional<std::uint64_t>, std::size_t>>{
           {std::nullopt, 2300}, {1700, 1700}}) {
    QueueWalk walk(store, {}, "queued", limit);
    std::size_t all = 0;
    while (true) {
      const auto page = run(walk.next()).value();
      if (page.empty()) break;
      all += page.size();
    }
    EXPECT_EQ(all, expected);
  }
  QueueWalk none(store, {}, "deferred", std::nullopt);
  EXPECT_THAT(run(none.next()).value(), SizeIs(0));
}

}  // namespace
}  // namespace holdfast
