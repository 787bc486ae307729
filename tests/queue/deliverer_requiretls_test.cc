// One delivery at a time: REQUIRETLS (RFC 8689).
#include <gmock/gmock.h>

#include "tests/queue/deliverer_fixture.h"

namespace holdfast {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::HasSubstr;

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

}  // namespace
}  // namespace holdfast
