// What a client was told is on disk is on disk: SIGKILL between the 250 and the delivery.
#include <set>

#include "tests/end_to_end/end_to_end.h"

namespace holdfast::world {
namespace {

class Crash : public EndToEnd {};

TEST_F(Crash, DeliversWhatWasAcknowledgedBeforeItWasKilled) {
  auto& mx = world_.add_simple_domain("slow.test");
  mx.on(Stage::connect, Reaction::hang());
  start();
  submit({"bob@slow.test"});
  // The delivery is under way, and has got nowhere.
  ASSERT_TRUE(world_.journal().wait_for_session([](const Session& s) { return s.mx == "mx.slow.test"; }));
  relay_->kill();
  ASSERT_TRUE(world_.journal().mails().empty());
  mx.clear_rules();
  ASSERT_TRUE(relay_->start()) << relay_->transcript();
  const auto mail = world_.journal().wait_for_mail_to("bob@slow.test", Milliseconds(60000));
  ASSERT_TRUE(mail) << relay_->transcript();
  EXPECT_NE(mail->content.find(kBodyCanary), std::string::npos);
  EXPECT_TRUE(queue_is_empty());
  EXPECT_EQ(world_.journal().mails().size(), 1u);
}

TEST_F(Crash, LosesNothingWhenKilledAmongManySubmissions) {
  world_.add_simple_domain("many.test").on(Stage::mail, Reaction::reply("451 4.3.0 later"));
  start();
  constexpr int kClients = 8;
  std::mutex mutex;
  std::set<std::string> acknowledged;
  std::atomic<bool> stop = false;
  std::vector<std::thread> clients;
  std::condition_variable enough;
  for (int c = 0; c < kClients; ++c) {
    clients.emplace_back([&, c] {
      try {
        SmtpClient client(relay_->trusted());
        client.command("EHLO client.test");
        for (int i = 0; !stop; ++i) {
          const auto to = "c" + std::to_string(c) + "-" + std::to_string(i) + "@many.test";
          if (client.submit("shop@sender.test", {to}, canary_message()).code != 250) return;
          const std::lock_guard lock(mutex);
          acknowledged.insert(to);
          enough.notify_all();
        }
      } catch (const std::exception&) {
        // the relay was killed while connecting
      }
    });
  }
  {
    std::unique_lock lock(mutex);
    enough.wait_for(lock, Milliseconds(30000), [&] { return acknowledged.size() >= 100; });
  }
  relay_->kill();
  stop = true;
  for (auto& client : clients) client.join();
  ASSERT_GE(acknowledged.size(), 100u);

  world_.mx("mx.many.test").clear_rules();
  ASSERT_TRUE(relay_->start()) << relay_->transcript();
  const bool all = world_.journal().wait_until(
      [&](const auto& mails, const auto&) {
        std::set<std::string> missing = acknowledged;
        for (const auto& mail : mails) {
          for (const auto& recipient : mail.recipients) missing.erase(recipient.address);
        }
        return missing.empty();
      },
      Milliseconds(90000));
  EXPECT_TRUE(all) << relay_->transcript().substr(0, 4000);
  // Nothing had reached the MX before: each arrives exactly once.
  std::multiset<std::string> arrived;
  for (const auto& mail : world_.journal().mails()) {
    for (const auto& recipient : mail.recipients) arrived.insert(recipient.address);
  }
  for (const auto& to : acknowledged) EXPECT_EQ(arrived.count(to), 1u) << to;
}

TEST_F(Crash, KeepsWhatItCouldNotDeliverWhenToldToEnd) {
  auto& mx = world_.add_simple_domain("slow.test");
  mx.on(Stage::rcpt, Reaction::reply("450 4.2.0 later"));
  start();
  submit({"bob@slow.test"});
  ASSERT_TRUE(wait_for_end("bob@slow.test", "deferred"));
  EXPECT_EQ(relay_->terminate(), 0) << relay_->transcript();
  mx.clear_rules();
  ASSERT_TRUE(relay_->start()) << relay_->transcript();
  EXPECT_TRUE(world_.journal().wait_for_mail_to("bob@slow.test", Milliseconds(60000)))
      << relay_->transcript();
}

}  // namespace
}  // namespace holdfast::world
