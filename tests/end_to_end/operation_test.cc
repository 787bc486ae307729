// What an operator does to a relay at work: replaces its certificate, stops it.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <set>

#include "tests/end_to_end/end_to_end.h"

namespace holdfast::world {
namespace {

class Operation : public EndToEnd {
 protected:
  static ClientTls trusting(const Authority& authority) {
    ClientTls tls;
    tls.server_name = "relay.test";
    tls.trusted_pem = authority.root_pem();
    return tls;
  }

  std::multiset<std::string> arrived() {
    std::multiset<std::string> all;
    for (const auto& mail : world_.journal().mails()) {
      for (const auto& recipient : mail.recipients) all.insert(recipient.address);
    }
    return all;
  }

  bool wait_until_all_arrived(const std::set<std::string>& expected) {
    return world_.journal().wait_until(
        [&](const auto& mails, const auto&) {
          std::set<std::string> missing = expected;
          for (const auto& mail : mails) {
            for (const auto& recipient : mail.recipients) missing.erase(recipient.address);
          }
          return missing.empty();
        },
        Milliseconds(90000));
  }
};

TEST_F(Operation, ReplacesItsCertificateWhileFiftyConnectionsSubmit) {
  constexpr int kConnections = 50;
  world_.add_simple_domain("far.test");
  TempDir folder;
  world_.authority().issue("relay.test").write_to(folder.path());
  start({{"tls.certificate", "\"" + (folder.path() / "certificate.pem").string() + "\""},
         {"tls.private_key", "\"" + (folder.path() / "key.pem").string() + "\""}});

  std::atomic<bool> replaced = false;
  std::atomic<int> submitted_before = 0, faults = 0;
  std::mutex mutex;
  std::set<std::string> acknowledged;
  std::vector<std::thread> clients;
  for (int c = 0; c < kConnections; ++c) {
    clients.emplace_back([&, c] {
      try {
        SmtpClient client(relay_->submission());
        client.command("EHLO client.test");
        if (!client.starttls(trusting(world_.authority()))) throw std::runtime_error("STARTTLS");
        client.command("EHLO client.test");
        if (client.auth_plain(Relay::kUser, Relay::kPassword).code != 235) throw std::runtime_error("AUTH");
        // At least one message before the new certificate is there and one after, all on this connection.
        int after = 0;
        for (int i = 0; after < 2; ++i) {
          if (replaced) ++after;
          const auto to = "c" + std::to_string(c) + "-" + std::to_string(i) + "@far.test";
          if (client.submit("shop@sender.test", {to}, canary_message()).code != 250)
            throw std::runtime_error(to);
          if (i == 0) ++submitted_before;
          const std::lock_guard lock(mutex);
          acknowledged.insert(to);
        }
      } catch (const std::exception& error) {
        ++faults;
        ADD_FAILURE() << "connection " << c << ": " << error.what();
        replaced = true;
      }
    });
  }
  EXPECT_TRUE(
      eventually([&] { return submitted_before == kConnections || faults > 0; }, Milliseconds(60000)));
  world_.other_authority().issue("relay.test").write_to(folder.path());
  EXPECT_EQ(relay_->run({"reload"}).code, 0);
  EXPECT_TRUE(relay_->wait_for_log({{"event", "cert_reloaded"}})) << relay_->transcript();
  replaced = true;
  for (auto& client : clients) client.join();
  EXPECT_EQ(faults, 0);

  SmtpClient fresh(relay_->submission());
  fresh.command("EHLO client.test");
  EXPECT_TRUE(fresh.starttls(trusting(world_.other_authority())))
      << "a new connection sees the new certificate";
  EXPECT_TRUE(wait_until_all_arrived(acknowledged));
}

// HOLDFAST_STOPS=20 for the figure; each stop is made while eight connections submit and an MX takes.
TEST_F(Operation, StopsUnderLoadWithinItsGraceAndLosesNothing) {
  const char* asked = std::getenv("HOLDFAST_STOPS");
  const int stops = asked == nullptr ? 2 : std::atoi(asked);
  constexpr int kClients = 8;
  world_.add_simple_domain("far.test");
  start({{"shutdown.grace", "\"10s\""}});
  std::set<std::string> acknowledged;
  std::vector<double> seconds;
  for (int stop = 0; stop < stops; ++stop) {
    if (stop > 0) {
      ASSERT_TRUE(relay_->start()) << relay_->transcript();
    }
    std::mutex mutex;
    std::atomic<int> taken = 0;
    std::atomic<bool> ended = false;
    std::vector<std::thread> clients;
    for (int c = 0; c < kClients; ++c) {
      clients.emplace_back([&, c] {
        try {
          SmtpClient client(relay_->trusted());
          client.command("EHLO client.test");
          for (int i = 0; !ended; ++i) {
            const auto to =
                "s" + std::to_string(stop) + "c" + std::to_string(c) + "-" + std::to_string(i) + "@far.test";
            if (client.submit("shop@sender.test", {to}, canary_message()).code != 250) return;
            const std::lock_guard lock(mutex);
            acknowledged.insert(to);
            ++taken;
          }
        } catch (const std::exception&) {
          // The listener was closed while it connected.
        }
      });
    }
    EXPECT_TRUE(eventually([&] { return taken >= 50; }, Milliseconds(60000)));
    const auto begun = std::chrono::steady_clock::now();
    EXPECT_EQ(relay_->terminate(), 0) << relay_->transcript();
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count());
    ended = true;
    for (auto& client : clients) client.join();
    EXPECT_LT(seconds.back(), 10.0) << "grace";
  }
  ASSERT_TRUE(relay_->start()) << relay_->transcript();
  EXPECT_TRUE(wait_until_all_arrived(acknowledged)) << relay_->transcript().substr(0, 4000);
  const auto all = arrived();
  for (const auto& to : acknowledged) EXPECT_EQ(all.count(to), 1u) << to;
  std::sort(seconds.begin(), seconds.end());
  RecordProperty("stops", stops);
  std::printf("%d stops under load, %zu messages: median %.2f s, longest %.2f s\n", stops,
              acknowledged.size(), seconds[seconds.size() / 2], seconds.back());
}

}  // namespace
}  // namespace holdfast::world
