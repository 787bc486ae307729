#include "queue/route_table.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

RouteSettings route(std::vector<std::string> recipients, std::vector<std::string> senders,
                    const std::string& host) {
  RouteSettings r;
  r.recipients = std::move(recipients);
  r.senders = std::move(senders);
  NextHop hop;
  hop.target.host = host;
  hop.target.port = 25;
  r.via.push_back(hop);
  return r;
}

RouteTable table(std::vector<RouteSettings> routes) {
  auto settings = std::make_shared<Settings>();
  settings->routes = std::move(routes);
  return RouteTable(settings);
}

Mailbox sender(const std::string& text) { return text.empty() ? Mailbox() : Mailbox::parse(text).value(); }

std::string via(const RouteTable& table, const std::string& domain, const std::string& from) {
  const auto found = table.find(domain, sender(from));
  return found ? found->via.front().target.host : "";
}

TEST(RouteTable, MatchesDomainsExactlyAndBelow) {
  EXPECT_TRUE(domain_pattern_matches("corp.example", "corp.example"));
  EXPECT_FALSE(domain_pattern_matches("corp.example", "a.corp.example"));
  EXPECT_TRUE(domain_pattern_matches("*.corp.example", "a.b.corp.example"));
  EXPECT_FALSE(domain_pattern_matches("*.corp.example", "corp.example"));
  EXPECT_FALSE(domain_pattern_matches("*.corp.example", "evilcorp.example"));
  EXPECT_TRUE(domain_pattern_matches("*", "anything.example"));
}

TEST(RouteTable, TakesTheFirstThatMatchesInTheOrderOfTheFile) {
  const auto t = table({route({"a.example"}, {}, "one"), route({"*"}, {}, "two")});
  EXPECT_EQ(via(t, "a.example", "x@y.example"), "one");
  EXPECT_EQ(via(t, "b.example", "x@y.example"), "two");
}

TEST(RouteTable, AsksForBothRecipientAndSender) {
  const auto t = table({route({"a.example"}, {"@team.example"}, "one")});
  EXPECT_EQ(via(t, "a.example", "x@team.example"), "one");
  EXPECT_EQ(via(t, "a.example", "x@other.example"), "");
  EXPECT_EQ(via(t, "b.example", "x@team.example"), "");
  EXPECT_TRUE(t.depends_on_sender("a.example"));
  EXPECT_FALSE(t.depends_on_sender("b.example"));
}

TEST(RouteTable, KnowsSendersByAddressDomainAndTheNullPath) {
  const auto t = table({route({}, {"Boss@Team.example"}, "boss"), route({}, {"<>"}, "null"),
                        route({}, {"*.team.example"}, "sub")});
  EXPECT_EQ(via(t, "a.example", "boss@team.example"), "boss");
  EXPECT_EQ(via(t, "a.example", ""), "null");
  EXPECT_EQ(via(t, "a.example", "x@eu.team.example"), "sub");
  EXPECT_EQ(via(t, "a.example", "x@team.example"), "");
}

TEST(RouteTable, ComparesPatternsAsALabels) {
  const auto t = table({route({"B\xC3\xBC"
                               "cher.example"},
                              {}, "one")});
  EXPECT_EQ(via(t, "xn--bcher-kva.example", "x@y.example"), "one");
}

TEST(RouteTable, KeysTellCredentialsApartWithoutShowingThem) {
  RouteSettings a = route({"*"}, {}, "mx");
  RouteSettings b = a;
  b.username = "user";
  b.password = "secret";
  EXPECT_EQ(route_name(a), route_name(b));
  EXPECT_NE(route_key(a), route_key(b));
  EXPECT_EQ(route_key(b).find("secret"), std::string::npos);
}

}  // namespace
}  // namespace holdfast
