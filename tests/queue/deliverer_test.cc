// One delivery at a time: what replies, DNS and the extensions of a server do to a message, and what is
// recorded of it. The procedure stands in queue/delivery_job.h. Connections, TLS, REQUIRETLS and routes are
// in the deliverer_*_test.cc beside it.
#include <gmock/gmock.h>

#include "tests/queue/deliverer_fixture.h"

namespace holdfast {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;

// Replies.

TEST_F(Delivery, EachRecipientGetsItsOwnAnswer) {
  boot();
  relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  mx.rcpt = [](const std::string& to) {
    if (to.starts_with("busy")) return "451 4.3.0 later";
    return to.starts_with("gone") ? "550 5.1.1 no such user" : "250 2.1.5 ok";
  };
  send({"one@a.example", "busy@a.example", "gone@a.example", "two@a.example"});
  ASSERT_EQ(mx.taken.size(), 1U) << "one transaction for all";
  EXPECT_THAT(mx.taken[0].to, ::testing::ElementsAre("one@a.example", "two@a.example"));
  EXPECT_EQ(relay->count(RecipientState::delivered), 2U);
  EXPECT_EQ(relay->count(RecipientState::bounced), 1U);
  EXPECT_EQ(relay->reason_of("busy@a.example"), "451 4.3.0 later");
  EXPECT_EQ(relay->told_of("gone@a.example"), "failed 5.1.1");
  EXPECT_EQ(relay->told_of("busy@a.example"), "");
  EXPECT_EQ(relay->notifications(), 1U);
  EXPECT_EQ(relay->log.events("delivered").size(), 2U);
  EXPECT_EQ(relay->log.events("bounced").size(), 1U);
  EXPECT_EQ(relay->log.events("deferred").size(), 1U);
}

TEST_F(Delivery, ATemporaryAnswerIsTriedAgainByTheSchedule) {
  boot();
  relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  int answers = 0;
  mx.rcpt = [&](const std::string&) { return ++answers < 3 ? "450 4.2.0 greylisted" : "250 2.1.5 ok"; };
  const QueueId id = send({"user@a.example"});
  EXPECT_EQ(relay->rows_of(id).at(0).attempts, 1U);
  relay->advance(minutes(4));
  EXPECT_EQ(answers, 1);
  relay->pass(minutes(2));
  EXPECT_EQ(answers, 2);
  relay->pass(minutes(18));
  EXPECT_EQ(mx.taken.size(), 1U);
  EXPECT_EQ(relay->count(RecipientState::delivered), 1U);
}

TEST_F(Delivery, AnAnswerToMailOrTheFinalDotHoldsForAllRecipients) {
  for (const bool at_mail : {true, false}) {
    boot();
    TestMx server;
    relay->serve(server, "a.example", "mx.a.example", "192.0.2.1");
    if (at_mail) {
      server.mail = [](const std::string&) { return "550 5.7.1 not you"; };
    } else {
      server.final_dot = [] { return "554 5.6.0 not this"; };
    }
    send({"one@a.example", "two@a.example"});
    EXPECT_EQ(relay->count(RecipientState::bounced), 2U);
    EXPECT_EQ(relay->notifications(), 1U) << "one notification for both";
    relay.reset();
  }
}

TEST_F(Delivery, TooManyRecipientsGoInFurtherTransactions) {
  boot();
  relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  int in_transaction = 0;
  mx.mail = [&](const std::string&) {
    in_transaction = 0;
    return "250 2.1.0 ok";
  };
  mx.rcpt = [&](const std::string&) { return ++in_transaction > 2 ? "452 4.5.3 too many" : "250 2.1.5 ok"; };
  send({"r1@a.example", "r2@a.example", "r3@a.example", "r4@a.example", "r5@a.example"});
  EXPECT_EQ(relay->count(RecipientState::delivered), 5U);
  EXPECT_EQ(mx.taken.size(), 3U);
  EXPECT_EQ(mx.connections, 1U);
}

TEST_F(Delivery, ThePeersLimitOfRecipientsIsKept) {
  boot();
  mx.extensions.push_back("LIMITS RCPTMAX=2");
  relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  send({"r1@a.example", "r2@a.example", "r3@a.example"});
  ASSERT_EQ(mx.taken.size(), 2U);
  EXPECT_EQ(mx.taken[0].to.size(), 2U);
  EXPECT_EQ(mx.taken[1].to.size(), 1U);
}

TEST_F(Delivery, ThePeersLimitOfMessagesIsKept) {
  Settings s = delivery_settings();
  s.delivery.connections_per_destination = 1;
  boot(s);
  mx.extensions.push_back("LIMITS MAILMAX=2");
  relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  for (int i = 0; i < 5; ++i) relay->submit({"user@a.example"});
  relay->start();
  relay->advance(seconds(1));
  EXPECT_EQ(mx.taken.size(), 5U);
  EXPECT_EQ(mx.connections, 3U);
}

// What DNS says.

TEST_F(Delivery, DnsVerdictsBounceOrWait) {
  boot();
  relay->dns.mx("null.example", 0, ".");
  relay->dns.mx("own.example", 10, "relay.example");
  relay->dns.fail("broken.example", DnsStatus::server_failure);
  send({"u@null.example", "u@nowhere.example", "u@own.example", "u@broken.example"});
  EXPECT_EQ(relay->told_of("u@null.example"), "failed 5.1.10");
  EXPECT_EQ(relay->told_of("u@nowhere.example"), "failed 5.1.2");
  EXPECT_EQ(relay->told_of("u@own.example"), "failed 5.4.6");
  EXPECT_EQ(relay->count(RecipientState::bounced), 3U);
  EXPECT_THAT(relay->reason_of("u@broken.example"), HasSubstr("broken.example"));
}

TEST_F(Delivery, AnAddressLiteralIsConnectedToDirectly) {
  boot();
  relay->connector.servers["192.0.2.7"] = &mx;
  send({"user@[192.0.2.7]"});
  EXPECT_EQ(mx.taken.size(), 1U);
  ASSERT_EQ(relay->connector.targets.size(), 1U);
  EXPECT_FALSE(relay->connector.targets[0].operators_word);
  EXPECT_TRUE(relay->ledger.outcomes.empty());
}

// Extensions.

TEST_F(Delivery, ContentThatTheServerCannotTakeBounces) {
  boot();
  mx.extensions = {"SIZE 1000"};
  relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  MessageOptions large;
  large.body = "Subject: x\r\n\r\n" + std::string(2000, 'x') + "\r\n";
  MessageOptions eight;
  eight.body_type = BodyType::eight_bit;
  MessageOptions utf8;
  utf8.smtputf8 = true;
  send({"large@a.example"}, large);
  send({"eight@a.example"}, eight);
  send({"utf8@a.example"}, utf8);
  EXPECT_EQ(relay->count(RecipientState::bounced), 3U);
  EXPECT_TRUE(mx.taken.empty());
  EXPECT_FALSE(said_in_clear(mx, "MAIL"));
  EXPECT_EQ(relay->told_of("large@a.example"), "failed 5.3.4");
  EXPECT_EQ(relay->told_of("eight@a.example"), "failed 5.6.3");
  EXPECT_EQ(relay->told_of("utf8@a.example"), "failed 5.6.7");
}

TEST_F(Delivery, AnotherMxMayOfferWhatTheFirstLacks) {
  boot();
  mx.extensions = {};
  relay->serve(mx, "a.example", "mx1.a.example", "192.0.2.1", 10);
  relay->serve(other, "a.example", "mx2.a.example", "192.0.2.2", 20);
  MessageOptions eight;
  eight.body_type = BodyType::eight_bit;
  send({"user@a.example"}, eight);
  EXPECT_EQ(other.taken.size(), 1U);
}

TEST_F(Delivery, SuccessIsToldWhenTheNextHopWillNot) {
  boot();
  relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  other.extensions.push_back("DSN");
  relay->serve(other, "b.example", "mx.b.example", "192.0.2.2");
  MessageOptions notify;
  notify.notify = kNotifySuccess;
  send({"user@a.example", "user@b.example"}, notify);
  EXPECT_EQ(relay->count(RecipientState::delivered), 2U);
  EXPECT_EQ(relay->told_of("user@a.example"), "relayed 2.0.0");
  EXPECT_EQ(relay->told_of("user@b.example"), "");
}

// Records.

TEST_F(Delivery, AFailedAttemptLeavesItsTranscript) {
  boot();
  mx.rcpt = [](const std::string&) { return "451 4.3.0 later"; };
  relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  const QueueId id = send({"user@a.example"});
  const auto history = run(relay->context, relay->store.history(id)).value();
  std::string attempt;
  for (const auto& entry : history)
    if (entry.event == "attempt") attempt = entry.detail;
  EXPECT_THAT(attempt, HasSubstr("RCPT TO:<user@a.example>"));
  EXPECT_THAT(attempt, HasSubstr("451 4.3.0 later"));
  EXPECT_THAT(attempt, Not(HasSubstr("Hello")));
}

TEST_F(Delivery, AResultThatTheStoreDidNotTakeIsWrittenAgainAndNotSentTwice) {
  boot();
  relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  mx.final_dot = [&] {
    relay->store.fail_next(StoreError::io);
    return "250 2.0.0 taken";
  };
  send({"user@a.example"});
  EXPECT_EQ(relay->count(RecipientState::delivered), 0U);
  relay->pass(minutes(1), seconds(1));
  EXPECT_EQ(relay->count(RecipientState::delivered), 1U);
  EXPECT_EQ(mx.taken.size(), 1U);
}

TEST_F(Delivery, ARateThatIsLimitedSpreadsTheMessages) {
  Settings s = delivery_settings();
  s.delivery.rate_per_mx = Rate{60, minutes(1)};
  boot(s);
  relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  for (int i = 0; i < 30; ++i) relay->submit({"user@a.example"});
  relay->start();
  relay->pass(seconds(10), std::chrono::milliseconds(100));
  EXPECT_GE(mx.taken.size(), 8U);
  EXPECT_LE(mx.taken.size(), 12U);
  relay->pass(seconds(40), std::chrono::milliseconds(100));
  EXPECT_EQ(mx.taken.size(), 30U);
}

}  // namespace
}  // namespace holdfast
