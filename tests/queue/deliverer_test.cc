// One delivery at a time: what replies, broken connections and policy do to a message. The procedure stands
// in queue/delivery_job.h.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/queue/delivery_fixture.h"

namespace holdfast {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;

class Delivery : public ::testing::Test {
 protected:
  void boot(Settings settings = delivery_settings()) {
    relay = std::make_unique<DeliveryFixture>(std::move(settings));
  }
  // Submits, and lets the first attempt happen.
  QueueId send(const std::vector<std::string>& to, MessageOptions options = {}) {
    relay->start();
    const QueueId id = relay->submit(to, std::move(options));
    relay->advance(seconds(1));
    return id;
  }
  bool said_in_clear(const TestMx& server, const std::string& verb) {
    for (const auto& line : server.in_clear)
      if (line.starts_with(verb)) return true;
    return false;
  }

  TestMx mx, other;  // outlive the relay
  std::unique_ptr<DeliveryFixture> relay;
};

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

// Invariant 37: of a domain with a hundred addresses, not one says a word.
TEST_F(Delivery, OneAttemptOpensABoundedNumberOfConnections) {
  boot();
  mx.greeting = "";
  for (int host = 0; host < 20; ++host) {
    const std::string name = "mx" + std::to_string(host) + ".a.example";
    relay->dns.mx("a.example", static_cast<std::uint16_t>(host), name);
    for (int i = 0; i < 5; ++i) {
      const std::string ip = "192.0." + std::to_string(host) + "." + std::to_string(i + 1);
      relay->connector.servers[ip] = &mx;
      relay->dns.address(name, ip);
    }
  }
  send({"user@a.example"});
  EXPECT_LE(relay->connector.targets.size(), 20U);
  EXPECT_GE(relay->connector.targets.size(), 10U);
  EXPECT_EQ(relay->rows().at(0).attempts, 1U);
  EXPECT_EQ(relay->count(RecipientState::bounced), 0U);
}

TEST_F(Delivery, ARefusedGreetingMeansTheNextMx) {
  boot();
  mx.greeting = "554 no service here";
  relay->serve(mx, "a.example", "mx1.a.example", "192.0.2.1", 10);
  relay->serve(other, "a.example", "mx2.a.example", "192.0.2.2", 20);
  send({"user@a.example"});
  EXPECT_EQ(other.taken.size(), 1U);
}

TEST_F(Delivery, ARefusedGreetingEverywhereBouncesNothing) {
  boot();
  mx.greeting = "554 5.7.1 no service here";
  relay->serve(mx, "a.example", "mx1.a.example", "192.0.2.1");
  send({"user@a.example"});
  EXPECT_EQ(relay->count(RecipientState::bounced), 0U);
  EXPECT_THAT(relay->reason_of("user@a.example"), HasSubstr("554 5.7.1"));
}

TEST_F(Delivery, ADeadAddressMeansTheNextAndIsRemembered) {
  boot();
  mx.refuses_connections = true;
  relay->serve(mx, "a.example", "mx1.a.example", "192.0.2.1", 10);
  relay->serve(other, "a.example", "mx2.a.example", "192.0.2.2", 20);
  send({"user@a.example"});
  EXPECT_EQ(other.taken.size(), 1U);
  const std::size_t asked = relay->connector.targets.size();
  relay->advance(seconds(20));  // the pooled connection is gone by then
  relay->submit({"user@a.example"});
  relay->advance(seconds(1));
  EXPECT_EQ(other.taken.size(), 2U);
  EXPECT_EQ(relay->connector.targets.size(), asked + 1) << "the dead one was not asked again";
}

TEST_F(Delivery, A421ClosesTheConnectionAndTheNextMxIsAsked) {
  boot();
  mx.mail = [](const std::string&) { return "421 4.3.2 closing"; };
  relay->serve(mx, "a.example", "mx1.a.example", "192.0.2.1", 10);
  relay->serve(other, "a.example", "mx2.a.example", "192.0.2.2", 20);
  send({"user@a.example"});
  EXPECT_EQ(other.taken.size(), 1U);
  EXPECT_EQ(relay->count(RecipientState::delivered), 1U);
}

TEST_F(Delivery, AConnectionLostBeforeTheFinalDotIsTriedElsewhereAtOnce) {
  boot();
  mx.data = [] { return ""; };
  relay->serve(mx, "a.example", "mx1.a.example", "192.0.2.1", 10);
  relay->serve(other, "a.example", "mx2.a.example", "192.0.2.2", 20);
  send({"user@a.example"});
  EXPECT_EQ(other.taken.size(), 1U);
  EXPECT_EQ(relay->count(RecipientState::delivered), 1U);
}

TEST_F(Delivery, AConnectionLostAfterTheFinalDotWaitsAndAsksNobodyElseNow) {
  boot();
  mx.final_dot = [] { return "taken-but-lost"; };
  relay->serve(mx, "a.example", "mx1.a.example", "192.0.2.1", 10);
  relay->serve(other, "a.example", "mx2.a.example", "192.0.2.2", 20);
  send({"user@a.example"});
  EXPECT_EQ(other.connections, 0U);
  EXPECT_THAT(relay->reason_of("user@a.example"), HasSubstr("it may have taken it"));
}

TEST_F(Delivery, AReusedConnectionThatBreaksIsReplacedAtOnce) {
  boot();
  relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  int mails = 0;
  mx.mail = [&](const std::string&) { return ++mails == 2 ? "" : "250 2.1.0 ok"; };
  send({"user@a.example"});
  relay->submit({"user@a.example"});
  relay->advance(seconds(1));
  EXPECT_EQ(mx.taken.size(), 2U);
  EXPECT_EQ(mx.connections, 2U);
  EXPECT_EQ(relay->log.events("deferred").size(), 0U);
}

TEST_F(Delivery, OneConnectionServesManyMessagesAndNotMoreThanAllowed) {
  Settings s = delivery_settings();
  s.delivery.messages_per_connection = 3;
  s.delivery.connections_per_destination = 1;
  boot(s);
  relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  for (int i = 0; i < 7; ++i) relay->submit({"user@a.example"});
  relay->start();
  relay->advance(seconds(1));
  EXPECT_EQ(mx.taken.size(), 7U);
  EXPECT_EQ(mx.connections, 3U);
}

TEST_F(Delivery, TheNextConnectionNeedNotWaitForTheGoodbyeOfASpentOne) {
  Settings s = delivery_settings();
  s.delivery.messages_per_connection = 1;
  s.delivery.connections_per_destination = 1;
  s.delivery.connections_per_mx = 1;
  boot(s);
  relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  for (int i = 0; i < 5; ++i) relay->submit({"user@a.example"});
  relay->start();
  relay->settle();  // no time passes: nothing waits until the MX has a place again
  EXPECT_EQ(mx.taken.size(), 5U);
  EXPECT_EQ(mx.connections, 5U);
}

TEST_F(Delivery, IdleConnectionsSayGoodbyeInTime) {
  boot();
  relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  send({"user@a.example"});
  EXPECT_EQ(mx.open, 1U);
  relay->advance(seconds(11));
  relay->settle();
  EXPECT_EQ(mx.open, 0U);
  EXPECT_EQ(mx.in_clear.back(), "QUIT");
  EXPECT_EQ(relay->budget.open_in_all(), 0U);
}

TEST_F(Delivery, APolicyRefusalOfOneAddressFamilyIsAskedOfTheOther) {
  boot();
  relay->connector.servers["2001:db8::1"] = &mx;
  relay->connector.servers["192.0.2.1"] = &other;
  relay->dns.mx("a.example", 10, "mx.a.example");
  relay->dns.address("mx.a.example", "2001:db8::1");
  relay->dns.address("mx.a.example", "192.0.2.1");
  mx.rcpt = [](const std::string&) { return "550 5.7.1 no reverse name"; };
  send({"user@a.example"});
  EXPECT_EQ(other.taken.size(), 1U);
  EXPECT_EQ(relay->count(RecipientState::bounced), 0U);
}

TEST_F(Delivery, APolicyRefusalOfBothFamiliesBouncesOnce) {
  boot();
  relay->connector.servers["2001:db8::1"] = &mx;
  relay->connector.servers["192.0.2.1"] = &other;
  relay->dns.mx("a.example", 10, "mx.a.example");
  relay->dns.address("mx.a.example", "2001:db8::1");
  relay->dns.address("mx.a.example", "192.0.2.1");
  mx.rcpt = other.rcpt = [](const std::string&) { return "550 5.7.1 not welcome"; };
  send({"user@a.example"});
  EXPECT_EQ(mx.connections + other.connections, 2U);
  EXPECT_EQ(relay->count(RecipientState::bounced), 1U);
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

// TLS.

TEST_F(Delivery, TlsIsUsedWhereItIsOffered) {
  boot();
  mx.tls = certificate_for("mx.a.example");
  relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  send({"user@a.example"});
  ASSERT_EQ(mx.taken.size(), 1U);
  EXPECT_TRUE(mx.taken[0].tls);
  ASSERT_EQ(relay->ledger.outcomes.size(), 1U);
  EXPECT_EQ(relay->ledger.outcomes[0].policy.type, AppliedPolicy::Type::none);
  EXPECT_EQ(relay->ledger.outcomes[0].result, ResultType::success);
  EXPECT_EQ(relay->metrics.count("tls_sessions_total{policy=no-policy-found,result_type=successful}"), 1U);
  EXPECT_THAT(relay->log.events("delivered").at(0).fields, HasSubstr("\"version\":\"TLSv1."));
}

TEST_F(Delivery, OpportunisticTlsThatFailsGoesOnInClearOnANewConnection) {
  boot();
  mx.tls = certificate_for("mx.a.example");
  mx.starttls = "454 4.7.0 not now";
  relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  send({"user@a.example"});
  ASSERT_EQ(mx.taken.size(), 1U);
  EXPECT_FALSE(mx.taken[0].tls);
  EXPECT_EQ(mx.connections, 2U);
  EXPECT_EQ(relay->ledger.count(ResultType::starttls_not_supported), 1U);
  EXPECT_EQ(relay->ledger.outcomes.size(), 1U) << "the second connection is no TLS session";
}

TEST_F(Delivery, TheFloorMakesTlsMandatory) {
  Settings s = delivery_settings();
  s.delivery.tls = TlsFloor::required;
  boot(s);
  relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  send({"user@a.example"});
  EXPECT_TRUE(mx.taken.empty());
  EXPECT_FALSE(said_in_clear(mx, "MAIL"));
}

class EnforceDomain : public Delivery {
 protected:
  void SetUp() override {
    boot();
    relay->enforce("a.example", {"mx.a.example"});
    mx.tls = certificate_for("mx.a.example");
    relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  }
  void expect_held(TlsError) {
    EXPECT_TRUE(mx.taken.empty());
    EXPECT_FALSE(said_in_clear(mx, "MAIL"));
    EXPECT_FALSE(said_in_clear(mx, "RCPT"));
    EXPECT_EQ(relay->count(RecipientState::bounced), 0U);
    const auto rows = relay->rows();
    ASSERT_EQ(rows.size(), 1U);
    EXPECT_TRUE(rows[0].policy);
    EXPECT_THAT(rows[0].reason, HasSubstr("mx.a.example"));
    ASSERT_EQ(relay->log.events("deferred").size(), 1U);
    EXPECT_THAT(relay->log.events("deferred")[0].fields, HasSubstr("\"enhanced\":\"4.7.5\""));
    EXPECT_EQ(relay->log.events("policy_refused").size(), 1U);
  }
};

TEST_F(EnforceDomain, DeliversOverVerifiedTls) {
  send({"user@a.example"});
  ASSERT_EQ(mx.taken.size(), 1U);
  EXPECT_TRUE(mx.taken[0].tls);
  ASSERT_EQ(relay->ledger.outcomes.size(), 1U);
  EXPECT_EQ(relay->ledger.outcomes[0].policy.type, AppliedPolicy::Type::sts);
  EXPECT_EQ(relay->ledger.outcomes[0].result, ResultType::success);
  EXPECT_THAT(relay->log.events("delivered").at(0).fields,
              HasSubstr("\"policy\":\"sts\",\"mode\":\"enforce\""));
}

TEST_F(EnforceDomain, HoldsWhenStarttlsIsStripped) {
  mx.offers_starttls = false;
  send({"user@a.example"});
  expect_held(TlsError::not_offered);
  EXPECT_EQ(relay->ledger.count(ResultType::starttls_not_supported), 1U);
  EXPECT_EQ(mx.connections, 1U) << "no second try in clear";
}

TEST_F(EnforceDomain, ADelayTellsThePolicyInWordsAndAsAField) {
  mx.offers_starttls = false;
  send({"user@a.example"});
  relay->pass(std::chrono::hours(5), minutes(5));
  EXPECT_EQ(relay->notifications(), 1U);
  EXPECT_EQ(relay->told_of("user@a.example"), "delayed 4.7.5 (sts enforce starttls-not-supported)");
  for (const auto& row : relay->rows()) {
    if (!row.meta->is_bounce) continue;
    std::string text = relay->store.content(row.meta->id).value_or("");
    for (std::size_t at = 0; (at = text.find("\r\n    ", at)) != std::string::npos;) text.replace(at, 6, " ");
    EXPECT_THAT(text, HasSubstr("The message was not handed to the mail server mx.a.example"));
    EXPECT_THAT(text, HasSubstr("STARTTLS"));
    EXPECT_THAT(text, HasSubstr("TLS policy: sts enforce starttls-not-supported"));
  }
}

TEST_F(EnforceDomain, HoldsWhenStarttlsIsRefused) {
  mx.starttls = "502 5.5.1 no";
  send({"user@a.example"});
  expect_held(TlsError::refused);
  EXPECT_EQ(relay->ledger.count(ResultType::starttls_not_supported), 1U);
}

TEST_F(EnforceDomain, HoldsWhenTheCertificateIsForAnotherHost) {
  mx.tls = certificate_for("elsewhere.example");
  send({"user@a.example"});
  expect_held(TlsError::host_mismatch);
  EXPECT_EQ(relay->ledger.count(ResultType::certificate_host_mismatch), 1U);
}

TEST_F(EnforceDomain, NothingBeforeTheHandshakeIsPermanent) {
  mx.greeting = "554 5.7.1 injected: go away";
  send({"user@a.example"});
  EXPECT_EQ(relay->count(RecipientState::bounced), 0U);
  EXPECT_EQ(relay->rows().size(), 1U);
}

TEST_F(EnforceDomain, AnswersUnderVerifiedTlsArePermanent) {
  mx.rcpt = [](const std::string&) { return "550 5.1.1 no such user"; };
  send({"user@a.example"});
  EXPECT_EQ(relay->count(RecipientState::bounced), 1U);
}

TEST_F(EnforceDomain, AStrayMxIsNotConnectedTo) {
  relay->serve(other, "a.example", "stray.example", "192.0.2.66", 5);
  send({"user@a.example"});
  EXPECT_EQ(other.connections, 0U);
  EXPECT_EQ(mx.taken.size(), 1U);
  EXPECT_EQ(relay->ledger.count(ResultType::validation_failure), 1U);
  EXPECT_EQ(relay->ledger.count(ResultType::success), 1U);
}

TEST_F(EnforceDomain, OnlyStrayMxsHoldTheMessage) {
  boot();
  relay->enforce("a.example", {"mx.a.example"});
  relay->serve(other, "a.example", "stray.example", "192.0.2.66");
  send({"user@a.example"});
  EXPECT_EQ(other.connections, 0U);
  ASSERT_EQ(relay->rows().size(), 1U);
  EXPECT_TRUE(relay->rows()[0].policy);
  EXPECT_THAT(relay->rows()[0].reason, HasSubstr("stray.example"));
}

TEST_F(EnforceDomain, FailsForGoodOnlyAfterAFreshLookAtThePolicy) {
  mx.offers_starttls = false;
  MessageOptions brief;
  brief.lifetime = minutes(30);
  send({"user@a.example"}, brief);
  relay->pass(minutes(40));
  EXPECT_EQ(relay->count(RecipientState::expired), 1U);
  EXPECT_TRUE(relay->planner.requests.back().fresh);
  EXPECT_FALSE(relay->planner.requests.front().fresh);
  EXPECT_EQ(relay->told_of("user@a.example"), "failed 4.4.7 (sts enforce starttls-not-supported)");
}

TEST_F(EnforceDomain, AFreshPolicyMaySaveTheMessage) {
  mx.offers_starttls = false;
  relay->planner.before = [&](const PlanRequest& request) {
    if (request.fresh) relay->planner.policies.clear();  // the domain has withdrawn it
  };
  MessageOptions brief;
  brief.lifetime = minutes(30);
  send({"user@a.example"}, brief);
  relay->pass(minutes(40));
  EXPECT_EQ(relay->count(RecipientState::delivered), 1U);
}

TEST_F(EnforceDomain, TlsRequiredNoDeliversAllTheSameAndIsNotCounted) {
  mx.offers_starttls = false;
  MessageOptions no;
  no.tls.tls_required_no = true;
  send({"user@a.example"}, no);
  EXPECT_EQ(mx.taken.size(), 1U);
  EXPECT_TRUE(relay->ledger.outcomes.empty());
}

TEST_F(EnforceDomain, AConnectionThatProvedLessServesNobodyWhoNeedsMore) {
  // First a message that needs nothing leaves an idle connection in clear; then one that needs TLS comes.
  mx.offers_starttls = false;
  MessageOptions no;
  no.tls.tls_required_no = true;
  send({"user@a.example"}, no);
  ASSERT_EQ(mx.open, 1U);
  mx.offers_starttls = true;
  relay->submit({"user@a.example"});
  relay->advance(seconds(1));
  ASSERT_EQ(mx.taken.size(), 2U);
  EXPECT_TRUE(mx.taken[1].tls);
  EXPECT_EQ(mx.connections, 2U);
}

TEST_F(Delivery, TestingModeDeliversAndCountsTheFailure) {
  boot();
  relay->enforce("a.example", {"mx.a.example"}, StsMode::testing);
  mx.tls = certificate_for("elsewhere.example");
  relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  send({"user@a.example"});
  EXPECT_EQ(mx.taken.size(), 1U);
  ASSERT_EQ(relay->ledger.outcomes.size(), 1U);
  EXPECT_EQ(relay->ledger.outcomes[0].result, ResultType::certificate_host_mismatch);
}

TEST_F(Delivery, SessionsOfReportsAreNotCounted) {
  boot();
  relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  MessageOptions report;
  report.counts_in_tlsrpt = false;
  send({"user@a.example"}, report);
  EXPECT_EQ(mx.taken.size(), 1U);
  EXPECT_TRUE(relay->ledger.outcomes.empty());
}

TEST_F(Delivery, AnUnknownPolicyDelaysYoungMessagesOnly) {
  boot();
  StsLookup unknown;
  unknown.state = StsLookup::State::unknown;
  unknown.detail = "SERVFAIL";
  relay->planner.policies["a.example"] = unknown;
  relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  send({"user@a.example"});
  EXPECT_TRUE(mx.taken.empty());
  EXPECT_TRUE(relay->rows().at(0).policy);
  relay->pass(minutes(29));
  EXPECT_TRUE(mx.taken.empty());
  relay->pass(minutes(60));
  EXPECT_EQ(mx.taken.size(), 1U);
}

// REQUIRETLS.

TEST_F(EnforceDomain, RequiretlsGoesWhereItIsOffered) {
  mx.tls_extensions = {"REQUIRETLS"};
  MessageOptions strict;
  strict.tls.requiretls = true;
  send({"user@a.example"}, strict);
  ASSERT_EQ(mx.taken.size(), 1U);
  EXPECT_THAT(mx.taken[0].mail_command, HasSubstr(" REQUIRETLS"));
}

TEST_F(EnforceDomain, RequiretlsBouncesWhereItIsNotOfferedAfterAFreshLook) {
  MessageOptions strict;
  strict.tls.requiretls = true;
  send({"user@a.example"}, strict);
  EXPECT_TRUE(mx.taken.empty());
  EXPECT_EQ(relay->count(RecipientState::bounced), 1U);
  EXPECT_THAT(relay->told_of("user@a.example"), HasSubstr("failed 5.7.30 (requiretls"));
  EXPECT_TRUE(relay->planner.requests.back().fresh);
  EXPECT_EQ(relay->ledger.count(ResultType::success), relay->ledger.outcomes.size());
}

TEST_F(Delivery, RequiretlsWithoutAPolicyBounces) {
  boot();
  mx.tls = certificate_for("mx.a.example");
  mx.tls_extensions = {"REQUIRETLS"};
  relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  MessageOptions strict;
  strict.tls.requiretls = true;
  send({"user@a.example"}, strict);
  EXPECT_TRUE(mx.taken.empty());
  EXPECT_THAT(relay->told_of("user@a.example"), HasSubstr("failed 5.7.10 (requiretls"));
}

TEST_F(EnforceDomain, RequiretlsWaitsWhileTlsFailsForACauseThatMayPass) {
  mx.offers_starttls = false;
  MessageOptions strict;
  strict.tls.requiretls = true;
  strict.lifetime = minutes(30);
  send({"user@a.example"}, strict);
  EXPECT_EQ(relay->count(RecipientState::bounced), 0U);
  relay->pass(minutes(40));
  EXPECT_EQ(relay->count(RecipientState::expired), 1U);
  EXPECT_THAT(relay->told_of("user@a.example"), HasSubstr("failed 5.7.10 (requiretls"));
}

TEST_F(Delivery, RequiretlsDoesNotAskAgainAndAgainWhileAnotherMxIsBusy) {
  Settings s = delivery_settings();
  s.delivery.connections_per_mx = 1;
  boot(s);
  relay->enforce("a.example", {"*.a.example"});
  mx.silent = true;
  other.tls = certificate_for("mx2.a.example");
  relay->serve(mx, "a.example", "mx1.a.example", "192.0.2.1", 10);
  relay->serve(other, "a.example", "mx2.a.example", "192.0.2.2", 20);
  relay->start();
  relay->submit({"plain@a.example"});  // hangs at the first MX
  relay->advance(seconds(1));
  MessageOptions strict;
  strict.tls.requiretls = true;
  relay->submit({"strict@a.example"}, strict);
  relay->pass(minutes(2), seconds(1));
  EXPECT_LE(other.connections, 2U);
  EXPECT_EQ(relay->count(RecipientState::bounced), 0U) << "the first MX may yet offer it";
}

// Routes.

RouteSettings route_to(const std::string& via) {
  RouteSettings route;
  route.recipients = {"corp.example"};
  NextHop hop;
  hop.target = HostPort::parse(via, 25).value();
  route.via.push_back(hop);
  route.tls = RouteTls::opportunistic;
  return route;
}

TEST_F(Delivery, ARouteGoesToItsNextHopOnTheOperatorsWord) {
  Settings s = delivery_settings();
  s.routes.push_back(route_to("127.0.0.1:2525"));
  boot(s);
  relay->connector.servers["127.0.0.1"] = &mx;
  send({"user@corp.example"});
  EXPECT_EQ(mx.taken.size(), 1U);
  ASSERT_EQ(relay->connector.targets.size(), 1U);
  EXPECT_EQ(relay->connector.targets[0].port, 2525);
  EXPECT_TRUE(relay->connector.targets[0].operators_word);
}

TEST_F(Delivery, ARouteFailsOverToItsNextHop) {
  Settings s = delivery_settings();
  s.routes.push_back(route_to("192.0.2.1"));
  s.routes[0].via.push_back(s.routes[0].via[0]);
  s.routes[0].via[1].target.host = "192.0.2.2";
  boot(s);
  mx.refuses_connections = true;
  relay->connector.servers["192.0.2.1"] = &mx;
  relay->connector.servers["192.0.2.2"] = &other;
  send({"user@corp.example"});
  EXPECT_EQ(other.taken.size(), 1U);
}

TEST_F(Delivery, ARouteLogsInAtItsNextHop) {
  Settings s = delivery_settings();
  s.routes.push_back(route_to("smart.example"));
  s.routes[0].via[0].kind = NextHop::Kind::host;
  s.routes[0].tls = RouteTls::verify;
  s.routes[0].username = "relay";
  s.routes[0].password = "secret";
  boot(s);
  mx.tls = certificate_for("smart.example");
  mx.tls_extensions.push_back("AUTH PLAIN");
  relay->connector.servers["192.0.2.1"] = &mx;
  relay->dns.address("smart.example", "192.0.2.1");
  send({"user@corp.example"});
  ASSERT_EQ(mx.taken.size(), 1U) << relay->reason_of("user@corp.example");
  EXPECT_TRUE(mx.taken[0].tls);
  EXPECT_EQ(mx.authenticated, "AUTH PLAIN AHJlbGF5AHNlY3JldA==");
  EXPECT_FALSE(said_in_clear(mx, "AUTH"));
  EXPECT_FALSE(relay->log.holds("secret"));
  EXPECT_FALSE(relay->log.holds("AHJlbGF5AHNlY3JldA"));
}

TEST_F(Delivery, ARouteThatLeadsNowhereBouncesNothing) {
  Settings s = delivery_settings();
  s.routes.push_back(route_to("gone.example"));
  s.routes[0].via[0].kind = NextHop::Kind::mx;
  boot(s);
  send({"user@corp.example"});
  EXPECT_EQ(relay->count(RecipientState::bounced), 0U);
  EXPECT_THAT(relay->reason_of("user@corp.example"), HasSubstr("route"));
}

TEST_F(Delivery, DomainsOfOneRouteShareATransaction) {
  Settings s = delivery_settings();
  s.routes.push_back(route_to("192.0.2.1"));
  s.routes[0].recipients = {"*"};
  boot(s);
  relay->connector.servers["192.0.2.1"] = &mx;
  send({"user@a.example", "user@b.example"});
  ASSERT_EQ(mx.taken.size(), 1U);
  EXPECT_EQ(mx.taken[0].to.size(), 2U);
  EXPECT_EQ(relay->count(RecipientState::delivered), 2U);
}

TEST_F(Delivery, ConnectionsLeaveFromTheConfiguredSource) {
  Settings s = delivery_settings();
  SourceSettings source;
  source.address = "203.0.113.7";
  source.hostname = "out1.example";
  s.sources.push_back(source);
  boot(s);
  relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  send({"user@a.example"});
  ASSERT_EQ(relay->connector.targets.size(), 1U);
  EXPECT_EQ(relay->connector.targets[0].source, parse_ip("203.0.113.7"));
  EXPECT_EQ(mx.in_clear.at(0), "EHLO out1.example");
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
