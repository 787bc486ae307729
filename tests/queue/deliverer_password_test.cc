// One delivery at a time: whom a route's password goes to.
#include <gmock/gmock.h>

#include "queue/delivery_connect.h"
#include "tests/queue/deliverer_fixture.h"

namespace holdfast {
namespace {

using ::testing::HasSubstr;

class RoutePassword : public Delivery {
 protected:
  void boot_with(const std::string& via, NextHop::Kind kind, std::vector<ExceptionSettings> exceptions = {}) {
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
    s.exceptions = std::move(exceptions);
    boot(std::move(s));
    mx.tls_extensions.push_back("AUTH PLAIN");
  }
  static ExceptionSettings exception(std::vector<Relaxation> allow) {
    ExceptionSettings e;
    e.mx = "smart.example";
    e.allow = std::move(allow);
    e.reason = "ticket 4711";
    e.until = std::chrono::year(2999) / 1 / 1;
    return e;
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

TEST_F(RoutePassword, IsGivenAwayByNoException) {
  for (const Relaxation allowed : {Relaxation::bad_certificate, Relaxation::no_starttls}) {
    mx = TestMx();
    boot_with("smart.example", NextHop::Kind::host, {exception({allowed})});
    mx.tls = certificate_for("elsewhere.example");
    relay->connector.servers["192.0.2.1"] = &mx;
    relay->dns.address("smart.example", "192.0.2.1");
    send({"user@corp.example"});
    expect_kept();
    EXPECT_THAT(relay->reason_of("user@corp.example"), HasSubstr("ticket 4711"));
    EXPECT_THAT(relay->reason_of("user@corp.example"), HasSubstr("password"));
    relay.reset();
  }
}

// The last look, whatever plan led here.
TEST_F(RoutePassword, GoesToNobodyWhoHasNotProvedAName) {
  boot();
  mx.tls = certificate_for("smart.example");
  mx.tls_extensions.push_back("AUTH PLAIN");
  relay->connector.servers["192.0.2.1"] = &mx;
  OpenRequest request;
  request.key.ip = parse_ip("192.0.2.1").value();
  request.our_name = "relay.example";
  request.username = "relay";
  request.password = "secret";
  request.contexts = relay->contexts;
  request.requirement.level = TlsLevel::encrypted;
  request.requirement.watch_pkix = PkixRequirement{DomainName::parse("elsewhere.example").value()};
  OpenRequest proven = request;
  OpenResult opened =
      run(relay->context, relay->clock, open_connection(relay->connector, relay->clock, std::move(request)));
  EXPECT_FALSE(opened.connection);
  ASSERT_TRUE(opened.broken);
  EXPECT_EQ(opened.stage, Stage::auth);
  EXPECT_THAT(opened.broken->text(), HasSubstr("password"));
  EXPECT_EQ(mx.authenticated, "");

  proven.requirement.level = TlsLevel::authenticated;
  proven.requirement.min_version = TlsVersion::tls12;
  proven.requirement.pkix = PkixRequirement{DomainName::parse("smart.example").value()};
  opened =
      run(relay->context, relay->clock, open_connection(relay->connector, relay->clock, std::move(proven)));
  EXPECT_TRUE(opened.connection);
  EXPECT_NE(mx.authenticated, "");
}

}  // namespace
}  // namespace holdfast
