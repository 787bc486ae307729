// Invariant 6: every accepted recipient ends exactly once, whatever servers, store and operators do.
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

#include "tests/queue/delivery_fixture.h"

namespace holdfast {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

// One relay life with random faults. Seeds are the cases: a failure names the one to run again.
class RandomFaults : public ::testing::TestWithParam<int> {};

TEST_P(RandomFaults, EveryRecipientEndsExactlyOnce) {
  SeededRandom dice(static_cast<std::uint64_t>(GetParam()) * 7919 + 1);
  const auto chance = [&](unsigned percent) { return dice.below(100) < percent; };
  bool calm = false;  // towards the end everything works
  bool lost_after_dot = false;
  bool plain_leak = false;

  std::vector<std::unique_ptr<TestMx>> servers;
  Settings settings = delivery_settings();
  settings.delivery.connections_per_destination = 1 + static_cast<unsigned>(dice.below(6));
  settings.delivery.connections_per_mx = 1 + static_cast<unsigned>(dice.below(6));
  settings.delivery.messages_per_connection = 1 + static_cast<unsigned>(dice.below(10));
  DeliveryFixture relay(settings, 1 + static_cast<unsigned>(dice.below(3)),
                        static_cast<std::uint64_t>(GetParam()), 64 + dice.below(200));
  const int domains = 1 + static_cast<int>(dice.below(4));
  std::set<int> enforced;
  for (int d = 0; d < domains; ++d) {
    const std::string name = "d" + std::to_string(d) + ".example";
    if (chance(40)) {
      enforced.insert(d);
      relay.enforce(name, {"*." + name});
    }
    const int hosts = 1 + static_cast<int>(dice.below(3));
    for (int h = 0; h < hosts; ++h) {
      servers.push_back(std::make_unique<TestMx>());
      TestMx& mx = *servers.back();
      const std::string host = "mx" + std::to_string(h) + "." + name;
      if (enforced.contains(d) || chance(30)) mx.tls = certificate_for(chance(90) ? host : "wrong.example");
      const auto answer = [&, faulty = std::string()](const std::string& good) -> std::string {
        if (calm || !chance(12)) return good;
        switch (dice.below(6)) {
          case 0: return "";
          case 1: return "421 4.3.2 closing";
          case 2: return "450 4.2.0 later";
          case 3: return "451 4.7.1 slow down";
          case 4: return "550 5.1.1 never";
          default: return "550 5.7.1 not you";
        }
      };
      mx.mail = [answer](const std::string&) { return answer("250 2.1.0 ok"); };
      mx.rcpt = [answer](const std::string&) { return answer("250 2.1.5 ok"); };
      mx.data = [answer] { return answer("354 go on"); };
      mx.final_dot = [&, answer]() -> std::string {
        if (!calm && chance(5)) {
          lost_after_dot = true;
          return "taken-but-lost";
        }
        return answer("250 2.0.0 taken");
      };
      relay.serve(mx, name, host, "192.0.2." + std::to_string(10 * d + h), static_cast<std::uint16_t>(h));
    }
  }
  std::set<std::string> accepted;
  relay.start();
  for (int step = 0; step < 150; ++step) {
    calm = step > 130;
    if (step < 60) {
      for (std::uint64_t n = dice.below(4); n > 0; --n) {
        std::vector<std::string> to;
        for (std::uint64_t r = 1 + dice.below(4); r > 0; --r) {
          to.push_back("u" + std::to_string(accepted.size()) + "@d" +
                       std::to_string(dice.below(static_cast<std::uint64_t>(domains))) + ".example");
          accepted.insert(to.back());
        }
        MessageOptions options;
        options.lifetime = minutes(20 + static_cast<int>(dice.below(400)));
        options.claim = chance(60);
        options.tls.requiretls = chance(5);
        relay.submit(to, options);
      }
    }
    for (auto& mx : servers) {
      if (!calm && chance(3)) mx->refuses_connections = !mx->refuses_connections;
      if (!calm && chance(2)) mx->silent = !mx->silent;
      if (!calm && chance(3)) mx->offers_starttls = !mx->offers_starttls;
      if (!calm && chance(3))
        mx->greeting = mx->greeting.starts_with("220") ? "554 5.7.1 go away" : "220 mx ESMTP";
      if (calm) {
        mx->refuses_connections = mx->silent = false;
        mx->offers_starttls = true;
        mx->greeting = "220 mx ESMTP";
      }
    }
    if (!calm && chance(3)) relay.store.fail_next(chance(50) ? StoreError::io : StoreError::full);
    const std::string domain =
        "d" + std::to_string(dice.below(static_cast<std::uint64_t>(domains))) + ".example";
    if (!calm && chance(2)) run(relay.context, relay.scheduler->pause(domain));
    if (calm || chance(10)) run(relay.context, relay.scheduler->resume(domain));
    relay.advance(seconds(1 + static_cast<int>(dice.below(400))));
  }
  calm = true;
  for (int d = 0; d < domains; ++d)
    run(relay.context, relay.scheduler->resume("d" + std::to_string(d) + ".example"));
  relay.pass(std::chrono::hours(9), minutes(5));
  relay.stop();

  std::map<std::string, int> ends, delivered;
  for (const auto& end : relay.observer.ends) {
    if (!accepted.contains(end.recipient)) continue;  // bounces end too
    ++ends[end.recipient];
    if (end.how == RecipientEnd::How::delivered) ++delivered[end.recipient];
  }
  const auto told = [&](const std::string& to) {
    std::string lines = to + "\n";
    for (const auto& line : relay.log.lines())
      if (line.fields.find(to) != std::string::npos || line.event.empty())
        lines += line.event + line.text + " " + line.fields.substr(0, 300) + "\n";
    return lines;
  };
  for (const auto& to : accepted) EXPECT_EQ(ends[to], 1) << (ends[to] == 1 ? to : told(to));
  for (const auto& row : relay.rows())
    EXPECT_TRUE(row.meta->is_bounce) << row.to << " is left: " << row.reason;
  std::map<std::string, int> copies;
  for (const auto& mx : servers)
    for (const auto& taken : mx->taken)
      for (const auto& to : taken.to) ++copies[to];
  for (const auto& to : accepted) {
    if (delivered[to] > 0) {
      EXPECT_GE(copies[to], 1) << to << " was recorded, never sent";
    } else if (!lost_after_dot) {
      EXPECT_EQ(copies[to], 0) << to << " was sent and then given up";
    }
    if (!lost_after_dot) {
      EXPECT_LE(copies[to], 1) << to << " was sent twice";
    }
  }
  // No byte of a message for an enforce domain went in clear.
  for (const auto& mx : servers)
    for (const auto& taken : mx->taken)
      for (const auto& to : taken.to)
        plain_leak = plain_leak || (!taken.tls && enforced.contains(std::stoi(to.substr(to.find("@d") + 2))));
  EXPECT_FALSE(plain_leak);
  EXPECT_EQ(relay.scheduler->in_hand(), 0U);
  EXPECT_EQ(relay.budget.open_in_all(), 0U);
  EXPECT_FALSE(relay.log.holds("bug:"));
}

// Which seeds: as many as HOLDFAST_SEEDS says, from HOLDFAST_FIRST_SEED on.
int number_from(const char* variable, int otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::atoi(text);
}
const int kFirst = number_from("HOLDFAST_FIRST_SEED", 0);

INSTANTIATE_TEST_SUITE_P(Seeds, RandomFaults,
                         ::testing::Range(kFirst, kFirst + number_from("HOLDFAST_SEEDS", 200)));

}  // namespace
}  // namespace holdfast
