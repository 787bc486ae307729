// One delivery at a time: servers that complete TLS and then refuse to talk.
#include <gmock/gmock.h>

#include "tests/queue/deliverer_fixture.h"

namespace holdfast {
namespace {

using ::testing::HasSubstr;

// The reply came over TLS, so TLS did not fail: nothing is said in clear.
TEST_F(Delivery, ARefusedEhloUnderTlsIsARefusalAndNoFailureOfTls) {
  boot();
  mx.tls = certificate_for("mx.a.example");
  mx.ehlo_under_tls = "421 4.3.2 too busy";
  relay->serve(mx, "a.example", "mx.a.example", "192.0.2.1");
  send({"user@a.example"});
  EXPECT_EQ(mx.connections, 1U) << "not once more in clear";
  EXPECT_TRUE(mx.taken.empty());
  EXPECT_EQ(relay->ledger.count(ResultType::success), 1U);
  EXPECT_EQ(relay->ledger.outcomes.size(), 1U);
  const auto attempts = relay->log.events("attempt");
  ASSERT_EQ(attempts.size(), 1U);
  EXPECT_THAT(attempts[0].fields, HasSubstr("\"code\":421"));
  EXPECT_THAT(attempts[0].fields, HasSubstr("\"stage\":\"ehlo\""));
}

TEST_F(Delivery, ARefusedEhloUnderTlsLeavesTheNextMx) {
  boot();
  mx.tls = certificate_for("mx1.a.example");
  mx.ehlo_under_tls = "502 5.5.1 no";
  other.tls = certificate_for("mx2.a.example");
  relay->serve(mx, "a.example", "mx1.a.example", "192.0.2.1", 10);
  relay->serve(other, "a.example", "mx2.a.example", "192.0.2.2", 20);
  send({"user@a.example"});
  EXPECT_EQ(mx.connections, 1U);
  ASSERT_EQ(other.taken.size(), 1U);
  EXPECT_TRUE(other.taken[0].tls);
}

TEST_F(EnforceDomain, ARefusedEhloUnderTlsIsNotBlamedOnThePolicy) {
  mx.ehlo_under_tls = "421 4.3.2 too busy";
  send({"user@a.example"});
  const auto rows = relay->rows();
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_FALSE(rows[0].policy);
  EXPECT_THAT(rows[0].reason, HasSubstr("too busy"));
  ASSERT_EQ(relay->log.events("deferred").size(), 1U);
  EXPECT_THAT(relay->log.events("deferred")[0].fields, HasSubstr("\"enhanced\":\"4.3.2\""));
  EXPECT_TRUE(relay->log.events("policy_refused").empty());
  EXPECT_EQ(relay->ledger.count(ResultType::success), 1U);
  EXPECT_EQ(relay->ledger.outcomes.size(), 1U);
}

// TLS 1.3 tells of a refused handshake only then.
TEST_F(EnforceDomain, AnEndWithoutAReplyToEhloUnderTlsIsAFailureOfTls) {
  mx.ehlo_under_tls = "drop";
  send({"user@a.example"});
  expect_held(TlsError::connection_lost);
  EXPECT_EQ(relay->ledger.count(ResultType::validation_failure), 1U);
}

TEST_F(EnforceDomain, ARefusedEhloUnderTlsSaysNothingAboutRequiretls) {
  mx.ehlo_under_tls = "421 4.3.2 too busy";
  MessageOptions strict;
  strict.tls.requiretls = true;
  strict.lifetime = std::chrono::minutes(30);
  send({"user@a.example"}, strict);
  EXPECT_EQ(relay->count(RecipientState::bounced), 0U);
  relay->pass(std::chrono::minutes(40));
  EXPECT_EQ(relay->told_of("user@a.example"), "failed 4.4.7");
}

}  // namespace
}  // namespace holdfast
