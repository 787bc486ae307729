// What a reload changes, and what it says of that which it cannot change.
#include <fstream>
#include <iterator>

#include "tests/end_to_end/end_to_end.h"

namespace holdfast::world {
namespace {

class Reload : public EndToEnd {
 protected:
  void change_config(const std::string& from, const std::string& to) {
    std::ifstream in(relay_->config_file());
    std::string text(std::istreambuf_iterator<char>(in), {});
    const auto at = text.find(from);
    ASSERT_NE(at, std::string::npos) << text;
    text.replace(at, from.size(), to);
    std::ofstream(relay_->config_file()) << text;
  }
  // Whatever the configuration says by now, this is where the relay listens.
  ProcessEnd reload(std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"reload", "--socket", (relay_->data_dir() / "admin.sock").string()});
    return relay_->run(std::move(more));
  }
};

TEST_F(Reload, AnExchangedTokenHoldsAtOnce) {
  const auto token = world_.folder() / "token";
  const auto write = [&](const char* text) {
    std::ofstream(token) << text;
    std::filesystem::permissions(token, std::filesystem::perms(0600));
  };
  write("first\n");
  start({{"admin.http", "\"127.0.0.1:0\""}, {"admin.token_file", "\"" + token.string() + "\""}});
  const auto line = relay_->wait_for_log({{"text", "listening"}, {"mode", "admin"}});
  ASSERT_TRUE(line);
  const std::string url = "http://" + (*line)["address"] + "/v1/queue/retry?to=nobody@far.test";
  const auto status = [&](const std::string& given) {
    return run_process({"curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", "POST", "-H",
                        "Authorization: Bearer " + given, url})
        .out;
  };
  EXPECT_EQ(status("first"), "200");
  write("second\n");
  EXPECT_EQ(reload().code, 0);
  EXPECT_EQ(status("first"), "401");
  EXPECT_EQ(status("second"), "200");
}

TEST_F(Reload, KeepsUsersAndKeysWhereTheDataIsAndSaysWhatNeedsARestart) {
  world_.add_simple_domain("far.test");
  start({{"dkim.sign", "\"sender-domain\""}});
  const auto password = world_.folder() / "password";
  std::ofstream(password) << Relay::kPassword << "\n";
  const auto added =
      relay_->run({"user", "add", "clerk", "--sender", "@sender.test", "--password-file", password.string()});
  ASSERT_EQ(added.code, 0) << added.err;
  ASSERT_EQ(relay_->run({"dkim", "keygen", "sender.test"}).code, 0);

  change_config("data_dir = \"" + relay_->data_dir().string() + "\"",
                "data_dir = \"" + (world_.folder() / "elsewhere").string() + "\"");
  change_config("threads = 2", "threads = 3");
  const auto ended = reload();
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_NE(ended.err.find("data_dir, runtime.threads"), std::string::npos) << ended.err;
  const auto told = relay_->wait_for_log({{"level", "warning"}, {"keys", "data_dir, runtime.threads"}});
  EXPECT_TRUE(told) << relay_->transcript();
  EXPECT_EQ(reload({"--json"}).out,
            "{\"schema\":1,\"errors\":[],\"after_restart\":[\"data_dir\",\"runtime.threads\"]}\n");

  SmtpClient client(relay_->submission());
  ASSERT_EQ(client.log_in("clerk", Relay::kPassword).code, 235) << relay_->transcript();
  EXPECT_EQ(client.submit("shop@sender.test", {"signed@far.test"}, canary_message()).code, 250);
  const auto mail = world_.journal().wait_for_mail_to("signed@far.test");
  ASSERT_TRUE(mail) << relay_->transcript();
  EXPECT_NE(mail->content.find("DKIM-Signature:"), std::string::npos) << mail->content;

  change_config("threads = 3", "threads = 2");
  change_config("data_dir = \"" + (world_.folder() / "elsewhere").string() + "\"",
                "data_dir = \"" + relay_->data_dir().string() + "\"");
  EXPECT_EQ(reload({"--json"}).out, "{\"schema\":1,\"errors\":[],\"after_restart\":[]}\n");
}

}  // namespace
}  // namespace holdfast::world
