// Users come, are suspended, and go while the relay runs: `holdfast user` on the real users file.
#include <fstream>

#include "config/users_file.h"
#include "tests/end_to_end/end_to_end.h"

namespace holdfast::world {
namespace {

class Users : public EndToEnd {
 protected:
  void add(const std::string& name, const std::vector<std::string>& more = {}) {
    const auto password = world_.folder() / "password";
    std::ofstream(password) << Relay::kPassword << "\n";
    std::vector<std::string> command = {
        "user", "add", name, "--sender", "@sender.test", "--password-file", password.string()};
    command.insert(command.end(), more.begin(), more.end());
    const auto end = relay_->run(command);
    ASSERT_EQ(end.code, 0) << end.err;
  }

  int log_in(const std::string& name) {
    SmtpClient client(relay_->submission());
    return client.log_in(name, Relay::kPassword).code;
  }

  // As this user; waits until the relay has seen that there is one.
  void submit_as(const std::string& name, const std::string& to) {
    int code = 0;
    ASSERT_TRUE(eventually([&] {
      SmtpClient client(relay_->submission());
      code = client.log_in(name, Relay::kPassword).code;
      if (code == 235) code = client.submit("shop@sender.test", {to}, canary_message()).code;
      return code == 250;
    })) << code
        << relay_->transcript();
  }

  bool arrived(const std::string& to) {
    for (const auto& mail : world_.journal().mails()) {
      if (mail.is_to(to)) return true;
    }
    return false;
  }
};

TEST_F(Users, ASuspendedUsersQueuedMailIsHeldUntilItIsReleased) {
  auto& mx = world_.add_simple_domain("receiver.test");
  mx.on(Stage::rcpt, Reaction::reply("450 4.2.0 not yet"));
  start({{"auth.max_failures", "\"1000/1m\""}});
  for (const char* user : {"bob", "bob2"}) add(user);
  submit_as("bob", "a@receiver.test");
  submit_as("bob2", "b@receiver.test");
  ASSERT_TRUE(wait_for_listed("a@receiver.test", "deferred")) << relay_->transcript();

  const auto suspended = relay_->run({"user", "suspend", "bob", "--hold"});
  EXPECT_EQ(suspended.code, 0) << suspended.err;
  EXPECT_NE(suspended.out.find("hold: 1 recipient"), std::string::npos) << suspended.out;
  EXPECT_EQ(log_in("bob"), 535);
  EXPECT_EQ(log_in("bob2"), 235);
  ASSERT_TRUE(wait_for_listed("a@receiver.test", "held"));
  mx.clear_rules();
  EXPECT_TRUE(world_.journal().wait_for_mail_to("b@receiver.test")) << relay_->transcript();
  EXPECT_FALSE(arrived("a@receiver.test"));

  const auto resumed = relay_->run({"user", "suspend", "bob", "--resume", "--release"});
  EXPECT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_NE(resumed.out.find("release: 1 recipient"), std::string::npos) << resumed.out;
  EXPECT_TRUE(world_.journal().wait_for_mail_to("a@receiver.test")) << relay_->transcript();
  EXPECT_TRUE(eventually([&] { return log_in("bob") == 235; }));
}

TEST_F(Users, AreKeptByTheJsonApiToo) {
  world_.add_simple_domain("receiver.test");
  start();
  const auto ask = [&](const std::string& target, const std::string& body) {
    const auto got = run_process({"curl", "-s", "--fail-with-body", "--unix-socket",
                                  (relay_->data_dir() / "admin.sock").string(), "--data-binary", body,
                                  "http://relay/v1/users/" + target});
    EXPECT_EQ(got.code, 0) << got.out << got.err;
  };
  const auto hash = hash_password(Relay::kPassword, 1);
  ask("add?name=bob&senders=@sender.test", *hash);
  submit_as("bob", "a@receiver.test");
  EXPECT_TRUE(world_.journal().wait_for_mail_to("a@receiver.test")) << relay_->transcript();
  ask("suspend?name=bob", "");
  EXPECT_TRUE(eventually([&] { return log_in("bob") == 535; }));
}

TEST_F(Users, ASessionEndsWithItsUser) {
  start();
  add("bob");
  submit_as("bob", "a@sender.test");
  SmtpClient open(relay_->submission());
  ASSERT_EQ(open.log_in("bob", Relay::kPassword).code, 235);
  ASSERT_EQ(relay_->run({"user", "remove", "bob"}).code, 0);
  // The relay looks at the file once a second; the next MAIL after that is a stranger's.
  EXPECT_TRUE(eventually([&] {
    const int code = open.command("MAIL FROM:<shop@sender.test>").code;
    open.command("RSET");
    return code == 530;
  }));
}

// The keys beside the hash in the users file are those that a client by other hands computes from the
// password.
TEST_F(Users, LogInByScramTooFromTheUsersFile) {
  if (!std::filesystem::exists("/usr/bin/msmtp")) GTEST_SKIP() << "msmtp is not installed";
  start({{"auth.mechanisms", "[\"SCRAM-SHA-256\"]"}});
  add("bob");
  const auto send = [&](const std::string& password) {
    return run_process({"msmtp", "--host=127.0.0.1", "--port=" + std::to_string(relay_->submission().port),
                        "--tls=on", "--tls-certcheck=off", "--auth=scram-sha-256", "--user=bob",
                        "--passwordeval=echo " + password, "--from=shop@sender.test", "--", "a@sender.test"},
                       Milliseconds(60000), {}, "From: shop@sender.test\nSubject: x\n\nbody\n");
  };
  EXPECT_NE(send("guess").code, 0);
  ProcessEnd end;
  EXPECT_TRUE(eventually([&] { return (end = send(Relay::kPassword)).code == 0; })) << end.err;
  EXPECT_TRUE(world_.journal().wait_for_mail_to("a@sender.test")) << relay_->transcript();
}

TEST_F(Users, RatesSurviveARestart) {
  start();
  add("slow", {"--messages", "2/h"});
  submit_as("slow", "a@sender.test");
  submit_as("slow", "b@sender.test");
  ASSERT_EQ(relay_->terminate(), 0);
  ASSERT_TRUE(relay_->start()) << relay_->transcript();
  SmtpClient client(relay_->submission());
  ASSERT_EQ(client.log_in("slow", Relay::kPassword).code, 235);
  const auto reply = client.submit("shop@sender.test", {"c@sender.test"}, canary_message());
  EXPECT_EQ(reply.code, 450) << reply.text();
  EXPECT_NE(reply.text().find("sent too many messages"), std::string::npos) << reply.text();
}

TEST_F(Users, LockoutsAreForAnAddressAndEndWithTheProcess) {
  start({{"auth.max_failures", "\"2/10m\""}});
  for (int i = 0; i < 2; ++i) {
    SmtpClient guesser(relay_->submission());
    EXPECT_EQ(guesser.log_in(Relay::kUser, "guess").code, 535);
  }
  SmtpClient right(relay_->submission());
  EXPECT_EQ(right.log_in(Relay::kUser, Relay::kPassword).code, 454) << "even the right password";
  ASSERT_EQ(relay_->terminate(), 0);
  ASSERT_TRUE(relay_->start()) << relay_->transcript();
  SmtpClient again(relay_->submission());
  EXPECT_EQ(again.log_in(Relay::kUser, Relay::kPassword).code, 235);
}

}  // namespace
}  // namespace holdfast::world
