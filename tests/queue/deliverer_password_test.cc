// One delivery at a time: whom a route's password goes to.
#include <gmock/gmock.h>

#include "tests/queue/deliverer_fixture.h"

namespace holdfast {
namespace {

using ::testing::HasSubstr;

class RoutePassword : public Delivery {
 protected:
  void boot_with(const std::string& via, NextHop::Kind kind) {
    RouteSettings route;
    route.recipients = {"corp.example"};
    NextHop hop;
    hop.kind = kind;
    hop.target = HostPort::parse(via, 25).value();
    route.via.push_back(hop);
    route.tls = RouteTls::verify;
    route.username = "relay";
    route.password = "secret";
    Settings s = delivery_settings();
    s.routes.push_back(std::move(route));
    boot(std::move(s));
    mx.tls_extensions.push_back("AUTH PLAIN");
  }
  void expect_kept() {
    EXPECT_EQ(mx.authenticated, "");
    EXPECT_TRUE(mx.taken.empty());
    EXPECT_EQ(relay->count(RecipientState::bounced), 0U);
    EXPECT_EQ(relay->rows().size(), 1U);
  }
};

// A certificate proves the name of an MX; nothing proves that the MX is the domain's.
TEST_F(RoutePassword, GoesToNoMxThatAnUnsignedRecordNames) {
  boot_with("hub.example", NextHop::Kind::mx);
  mx.tls = certificate_for("mx.attacker.example");
  relay->serve(mx, "hub.example", "mx.attacker.example", "192.0.2.66");
  send({"user@corp.example"});
  expect_kept();
  EXPECT_EQ(mx.connections, 0U);
  EXPECT_TRUE(relay->rows().at(0).policy);
  EXPECT_THAT(relay->reason_of("user@corp.example"), HasSubstr("mx.attacker.example"));
}

TEST_F(RoutePassword, GoesToAnMxThatASignedRecordNames) {
  boot_with("hub.example", NextHop::Kind::mx);
  mx.tls = certificate_for("mx.hub.example");
  relay->serve(mx, "hub.example", "mx.hub.example", "192.0.2.1");
  relay->dns.sign("hub.example");
  send({"user@corp.example"});
  EXPECT_NE(mx.authenticated, "") << relay->reason_of("user@corp.example");
  EXPECT_EQ(mx.taken.size(), 1U);
}

TEST_F(RoutePassword, GoesToAnMxThatThePolicyOfTheDomainLists) {
  boot_with("hub.example", NextHop::Kind::mx);
  mx.tls = certificate_for("mx.hub.example");
  relay->serve(mx, "hub.example", "mx.hub.example", "192.0.2.1");
  relay->enforce("hub.example", {"mx.hub.example"});
  send({"user@corp.example"});
  EXPECT_NE(mx.authenticated, "") << relay->reason_of("user@corp.example");
  EXPECT_EQ(mx.taken.size(), 1U);
}

}  // namespace
}  // namespace holdfast
