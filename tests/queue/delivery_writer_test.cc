// How results come to the store: what the log and the senders are told, and when.
#include "queue/delivery_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/queue/delivery_fixture.h"

namespace holdfast {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class Results : public ::testing::Test {
 protected:
  Results() { relay.serve(mx, "a.example", "mx.a.example", "192.0.2.1"); }

  void send(const std::vector<std::string>& to, MessageOptions options = {}) {
    relay.start();
    relay.submit(to, std::move(options));
    relay.pass(seconds(3), seconds(1));
  }
  // The operator acts while the delivery is under way: before the server's answer is read.
  void change(OperatorChange::What what, const std::string& to) {
    asio::co_spawn(relay.context, apply_change(what, to), asio::detached);
  }
  asio::awaitable<void> apply_change(OperatorChange::What what, std::string to) {
    QueueFilter filter;
    filter.to = std::move(to);
    auto rows = co_await relay.store.list(filter);
    OperatorChange change;
    change.what = what;
    for (const auto& row : *rows) change.recipients.push_back(row.recipient);
    EXPECT_THAT(change.recipients, SizeIs(1));
    Batch batch;
    batch.changes.push_back(std::move(change));
    auto applied = co_await relay.store.apply(std::move(batch));
    EXPECT_TRUE(applied);
  }

  TestMx mx, origin, ours;
  DeliveryFixture relay;
};

TEST_F(Results, AFailureOfARecipientThatIsNoLongerOursIsNotTold) {
  mx.rcpt = [&](const std::string& to) {
    change(OperatorChange::What::remove, to);
    return "550 5.1.1 no such user";
  };
  send({"gone@a.example"});
  EXPECT_EQ(relay.notifications(), 0U);
  EXPECT_THAT(relay.log.events("bounced"), IsEmpty());
  EXPECT_TRUE(relay.log.holds("after its claim was lost"));
  EXPECT_TRUE(relay.log.holds("gone@a.example"));
  EXPECT_THAT(relay.observer.ends, IsEmpty());
  EXPECT_EQ(relay.scheduler->in_hand(), 0U);
  EXPECT_EQ(relay.count(RecipientState::removed), 1U);
}

TEST_F(Results, TheFailureOfTheOthersIsToldWithoutIt) {
  mx.rcpt = [&](const std::string& to) {
    if (to.starts_with("gone")) change(OperatorChange::What::remove, to);
    return "550 5.1.1 no such user";
  };
  send({"gone@a.example", "one@a.example", "two@a.example"});
  EXPECT_EQ(relay.notifications(), 1U);
  EXPECT_EQ(relay.told_of("one@a.example"), "failed 5.1.1");
  EXPECT_EQ(relay.told_of("two@a.example"), "failed 5.1.1");
  EXPECT_EQ(relay.told_of("gone@a.example"), "");
  EXPECT_THAT(relay.log.events("bounced"), SizeIs(2));
  EXPECT_THAT(relay.observer.ends, SizeIs(2));
  EXPECT_EQ(relay.count(RecipientState::removed), 1U);
  EXPECT_EQ(relay.scheduler->in_hand(), 0U);
}

TEST_F(Results, ADelayOfARecipientThatIsNoLongerOursIsNotTold) {
  bool removed = false;
  mx.rcpt = [&](const std::string& to) {
    if (!removed && relay.timeline.now() - relay.rows().front().meta->accepted > hours(4)) {
      removed = true;
      change(OperatorChange::What::remove, to);
    }
    return "450 4.2.0 later";
  };
  send({"user@a.example"});
  relay.pass(hours(6));
  EXPECT_TRUE(removed);
  EXPECT_EQ(relay.notifications(), 0U);
}

TEST_F(Results, TheLogTellsOfAResultOnceTheStoreHasIt) {
  for (const std::string reply : {"450 4.2.0 later", "550 5.1.1 no", "250 2.1.5 ok"}) {
    const std::string event = reply[0] == '4' ? "deferred" : reply[0] == '5' ? "bounced" : "delivered";
    mx.rcpt = [&](const std::string&) {
      relay.store.fail_next(StoreError::io);
      return reply;
    };
    const std::size_t before = relay.log.events(event).size();
    send({event + "@a.example"});
    EXPECT_THAT(relay.log.events(event), SizeIs(before + 1)) << "written by the second attempt";
    const auto lines = relay.log.lines();
    std::size_t waited = 0, told = 0;
    for (std::size_t i = 0; i < lines.size(); ++i) {
      if (lines[i].text.find("waits for the store") != std::string::npos) waited = i;
      if (lines[i].event == event) told = i;
    }
    EXPECT_LT(waited, told);
    EXPECT_GT(waited, 0U);
  }
}

// Two results for one recipient, of which the first is stale: the second counts and is told.
TEST_F(Results, AStaleResultDoesNotSilenceTheOneThatCounts) {
  const QueueId id = relay.submit({"user@a.example"});
  const auto claim_once = [&] {
    return run(relay.context, relay.store.claim({"a.example"}, 10, relay.timeline.now(), "test", minutes(1)))
        .value()
        .at(0);
  };
  const auto result_of = [&](const Claim& claim) {
    RecordRequest request;
    request.meta = claim.meta;
    request.settings = relay.source.current();
    request.now = relay.timeline.now();
    Verdict v;
    v.kind = Verdict::Kind::delivered;
    request.endings.push_back(ending_of(*claim.meta, claim.token, claim.recipients.at(0), v, request.now,
                                        *request.settings, relay.random));
    return build_record(std::move(request), relay.random);
  };
  const Claim first = claim_once();
  relay.advance(minutes(2));
  const Claim second = claim_once();
  DeliveryContext context{relay.context.get_executor(),
                          relay.clock,
                          relay.timeline,
                          relay.random,
                          relay.log,
                          relay.metrics,
                          relay.store,
                          relay.dns,
                          relay.planner,
                          relay.connector,
                          [this] { return relay.contexts; },
                          relay.ledger,
                          relay.budget,
                          &relay.observer};
  DeliveryWriter writer(context, *relay.scheduler);
  relay.store.fail_next(StoreError::io);  // the writer pauses, and takes what came meanwhile together
  writer.add(result_of(first));
  writer.add(result_of(first));
  writer.add(result_of(second));
  relay.pass(seconds(30), seconds(1));
  EXPECT_THAT(relay.observer.ends, SizeIs(1));
  EXPECT_THAT(relay.log.events("delivered"), SizeIs(1));
  EXPECT_EQ(relay.rows_of(id, RecipientState::delivered).size(), 1U);
  run(relay.context, relay.clock, writer.drained());
}

TEST_F(Results, WhatAFailedStoreDoesNotHaveIsNoEventButAWarningThatNamesIt) {
  mx.rcpt = [&](const std::string&) {
    relay.store.fail_next(StoreError::failed_for_good);
    return "250 2.1.5 ok";
  };
  send({"user@a.example"});
  EXPECT_THAT(relay.log.events("delivered"), IsEmpty());
  EXPECT_TRUE(relay.log.holds("could not be recorded"));
  EXPECT_TRUE(relay.log.holds("user@a.example"));
  EXPECT_THAT(relay.observer.ends, IsEmpty());
}

// Invariant 33: message, bounce, notice to the postmaster, and then silence.
TEST_F(Results, ABounceOfABounceGoesToThePostmasterAndNothingFollowsIt) {
  relay.serve(origin, "sender.example", "mx.sender.example", "192.0.2.2");
  relay.serve(ours, "relay.example", "mx.ours.example", "192.0.2.3");
  mx.rcpt = origin.rcpt = ours.rcpt = [](const std::string&) { return "550 5.1.1 no such user"; };
  MessageOptions options;
  options.from = "sender@sender.example";
  options.body = "Subject: secret\r\n\r\nnot for the postmaster\r\n";
  send({"user@a.example"}, options);
  relay.pass(hours(30), minutes(10));
  EXPECT_EQ(relay.rows(RecipientState::queued).size(), 0U);
  const auto ends = relay.rows(RecipientState::bounced);
  ASSERT_THAT(ends, SizeIs(3)) << "the message, its bounce, and the notice of that";
  std::vector<std::string> to;
  for (const auto& row : ends) to.push_back(row.to);
  EXPECT_THAT(to,
              ::testing::ElementsAre("user@a.example", "sender@sender.example", "postmaster@relay.example"));
  EXPECT_TRUE(ours.taken.empty());
}

TEST_F(Results, ThePostmasterGetsTheHeaderOfTheBounceAlone) {
  relay.serve(origin, "sender.example", "mx.sender.example", "192.0.2.2");
  relay.serve(ours, "relay.example", "mx.ours.example", "192.0.2.3");
  mx.rcpt = origin.rcpt = [](const std::string&) { return "550 5.1.1 no such user"; };
  MessageOptions options;
  options.from = "sender@sender.example";
  options.body = "Subject: secret\r\n\r\nnot for the postmaster\r\n";
  send({"user@a.example"}, options);
  ASSERT_THAT(ours.taken, SizeIs(1));
  EXPECT_EQ(ours.taken[0].from, "") << "the null sender";
  const std::string& content = ours.taken[0].content;
  EXPECT_THAT(content, HasSubstr("Subject: Undeliverable notification"));
  EXPECT_THAT(content, HasSubstr("Final-Recipient: rfc822; sender@sender.example"));
  EXPECT_THAT(content, HasSubstr("text/rfc822-headers"));
  EXPECT_THAT(content, ::testing::Not(HasSubstr("not for the postmaster")));
}

TEST_F(Results, MailFromTheNullSenderIsNeverToldOf) {
  mx.rcpt = [](const std::string& to) { return to.starts_with("no") ? "550 5.1.1 no" : "450 4.2.0 later"; };
  MessageOptions options;
  options.from = "";
  options.lifetime = hours(24);
  options.notify = kNotifyFailure | kNotifyDelay;
  send({"no@a.example", "later@a.example"}, options);
  relay.pass(hours(30), minutes(10));
  EXPECT_EQ(relay.count(RecipientState::bounced), 1U);
  EXPECT_EQ(relay.count(RecipientState::expired), 1U);
  EXPECT_EQ(relay.notifications(), 0U);
}

}  // namespace
}  // namespace holdfast
