// One delivery at a time: unsigned DNS answers that would end the mail, against a policy that says otherwise.
#include <gmock/gmock.h>

#include "tests/queue/deliverer_fixture.h"

namespace holdfast {
namespace {

using std::chrono::minutes;
using ::testing::HasSubstr;

class ForgedDns : public Delivery {
 protected:
  void SetUp() override { boot(); }
  void expect_waits(const std::string& domain) {
    const std::string to = "user@" + domain;
    send({to});
    EXPECT_EQ(relay->count(RecipientState::bounced), 0U) << domain;
    EXPECT_THAT(relay->reason_of(to), HasSubstr("MTA-STS")) << domain;
    const auto deferred = relay->log.events("deferred");
    ASSERT_FALSE(deferred.empty()) << domain;
    EXPECT_THAT(deferred.back().fields, HasSubstr("\"enhanced\":\"4.4.3\"")) << domain;
  }
  void expect_bounces(const std::string& domain, const std::string& status) {
    send({"user@" + domain});
    EXPECT_EQ(relay->told_of("user@" + domain), "failed " + status);
  }
};

// Whatever a forger of unsigned answers says: the domain's own policy says that it takes mail.
TEST_F(ForgedDns, EndsNoMailToADomainWithAPolicyInForce) {
  relay->dns.mx("null.example", 0, ".");
  relay->dns.mx("loop.example", 10, "relay.example");
  relay->dns.mx("odd.example", 10, "192.0.2.1");
  for (const char* domain : {"null.example", "gone.example", "loop.example", "odd.example"}) {
    relay->enforce(domain, {"mx.a.example"});
    expect_waits(domain);
  }
}

TEST_F(ForgedDns, IsTheDomainsOwnWordWhereItIsSigned) {
  relay->dns.sign("null.example");
  relay->dns.mx("null.example", 0, ".");
  relay->enforce("null.example", {"mx.a.example"});
  expect_bounces("null.example", "5.1.10");
  EXPECT_TRUE(relay->planner.requests.empty());
}

TEST_F(ForgedDns, IsAllThereIsToGoByWithoutAPolicy) {
  relay->dns.mx("null.example", 0, ".");
  expect_bounces("null.example", "5.1.10");
  expect_bounces("gone.example", "5.1.2");
  relay->dns.mx("none.example", 0, ".");
  relay->enforce("none.example", {}, StsMode::none);
  expect_bounces("none.example", "5.1.10");
  // Testing changes nothing about what is delivered (RFC 8461 section 5).
  relay->dns.mx("trial.example", 0, ".");
  relay->enforce("trial.example", {"mx.a.example"}, StsMode::testing);
  expect_bounces("trial.example", "5.1.10");
}

// Whoever forges one answer can make the other fail.
TEST_F(ForgedDns, WaitsForAnUnknownPolicyAsADeliveryDoes) {
  StsLookup unknown;
  unknown.state = StsLookup::State::unknown;
  unknown.detail = "SERVFAIL";
  relay->planner.policies["null.example"] = unknown;
  relay->dns.mx("null.example", 0, ".");
  send({"user@null.example"});
  EXPECT_EQ(relay->count(RecipientState::bounced), 0U);
  relay->pass(minutes(90));
  EXPECT_EQ(relay->told_of("user@null.example"), "failed 5.1.10");
}

}  // namespace
}  // namespace holdfast
