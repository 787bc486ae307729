// One delivery at a time: [[route]] and [[source]].
#include <gmock/gmock.h>

#include "tests/queue/deliverer_fixture.h"

namespace holdfast {
namespace {

using ::testing::HasSubstr;

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

}  // namespace
}  // namespace holdfast
