// What a client was told is on disk is on disk: SIGKILL between the 250 and the delivery.
#include <filesystem>
#include <fstream>
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

TEST_F(Crash, SetsADamagedBodyAsideAndDeliversTheRest) {
  auto& mx = world_.add_simple_domain("slow.test");
  mx.on(Stage::rcpt, Reaction::reply("450 4.2.0 later"));
  start({{"queue.inline_limit", "\"4KiB\""}});
  std::string content = "From: shop@sender.test\r\nSubject: large\r\n\r\n";
  while (content.size() < 20000) content += "0123456789012345678901234567890123456789\r\n";
  for (const char* to : {"one@slow.test", "two@slow.test", "three@slow.test"}) {
    submit({to}, content);
    ASSERT_TRUE(wait_for_end(to, "deferred"));
  }
  ASSERT_EQ(relay_->terminate(), 0);
  // One octet of one body.
  std::vector<std::filesystem::path> bodies;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(relay_->data_dir() / "bodies"))
    if (entry.is_regular_file()) bodies.push_back(entry.path());
  ASSERT_EQ(bodies.size(), 3u);
  {
    std::fstream file(bodies.front(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(10000);
    file.put('X');
  }
  mx.clear_rules();
  ASSERT_TRUE(relay_->start()) << relay_->transcript();
  EXPECT_TRUE(eventually([&] { return world_.journal().mails().size() == 2; })) << relay_->transcript();
  EXPECT_TRUE(relay_->wait_for_log({{"text", "a damaged message of the queue is set aside"}}))
      << relay_->transcript();
  EXPECT_TRUE(eventually([&] {
    const auto left = relay_->run_json({"queue", "list"});
    return left.size() == 1 && left[0]["state"] == "damaged";
  })) << relay_->transcript();
  EXPECT_EQ(world_.journal().mails().size(), 2u) << "nothing of it was delivered";
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
