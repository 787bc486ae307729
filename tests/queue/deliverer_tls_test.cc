// One delivery at a time: what TLS, and the policy that asks for it, do to a message.
#include <gmock/gmock.h>

#include "tests/queue/deliverer_fixture.h"

namespace holdfast {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::HasSubstr;

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

}  // namespace
}  // namespace holdfast
