// One delivery at a time: which server is asked next when one refuses, breaks or is dead, and how connections
// are used again.
#include <gmock/gmock.h>

#include "tests/queue/deliverer_fixture.h"

namespace holdfast {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;

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

}  // namespace
}  // namespace holdfast
