// Users, keys, records and dry runs by the admin API.
#include "mta/admin_setup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <boost/asio/ip/udp.hpp>
#include <boost/asio/thread_pool.hpp>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>

#include "config/users_file.h"
#include "tests/fakes/capture.h"
#include "tests/fakes/fixed_settings.h"
#include "tests/fakes/run.h"

namespace holdfast {
namespace {

using testing::HasSubstr;
using testing::Not;

class AdminSetupTest : public testing::Test {
 protected:
  AdminSetupTest() {
    std::string name = (std::filesystem::temp_directory_path() / "holdfast-setup-XXXXXX").string();
    folder_ = mkdtemp(name.data());
    Settings& settings = settings_.settings;
    settings.hostname = "relay.test";
    settings.data_dir = folder_;
    settings.auth.users_file = folder_ / "users";
    settings.dkim.key_dir = folder_ / "dkim";
    settings.dkim.selector = "s1";
    settings.tlsrpt.contact = "tls@relay.test";
    settings.dns.timeout = std::chrono::milliseconds(300);
  }
  ~AdminSetupTest() override {
    blocking_.join();
    std::filesystem::remove_all(folder_);
  }

  AdminResponse ask(const std::string& method, const std::string& target, const std::string& body = "") {
    AdminRequest request;
    request.method = method;
    request.body = body;
    request.trusted = trusted_;
    EXPECT_TRUE(parse_target(target, request)) << target;
    EXPECT_TRUE(AdminSetup::is_mine(request.path)) << target;
    return run(context_, setup_.handle(std::move(request)));
  }
  std::string body(const std::string& method, const std::string& target, const std::string& sent = "") {
    const AdminResponse response = ask(method, target, sent);
    EXPECT_EQ(response.status, 200) << target << ": " << response.body;
    return response.body;
  }
  // A name server that hears and never answers.
  void ask_a_silent_server() {
    settings_.settings.dns.servers = {"127.0.0.1:" + std::to_string(silent_.local_endpoint().port())};
  }
  void wait_for_a_question() {
    char question[512];
    silent_.receive(asio::buffer(question));
  }

  std::filesystem::path folder_;
  FixedSettings settings_;
  CapturingLog log_;
  asio::io_context context_, another_;
  asio::ip::udp::socket silent_{context_, {asio::ip::make_address("127.0.0.1"), 0}};
  asio::thread_pool blocking_{2};
  AdminSetup setup_{AdminSetup::Parts{settings_, blocking_.get_executor(), log_}};
  bool trusted_ = true;
};

TEST_F(AdminSetupTest, AnswersNobodyWithoutTheToken) {
  trusted_ = false;
  for (const char* path : {"/v1/config", "/v1/users", "/v1/dkim", "/v1/dkim/check", "/v1/dns/check",
                           "/v1/check?domain=a.example"})
    EXPECT_EQ(ask("GET", path).status, 403) << path;
  EXPECT_EQ(ask("POST", "/v1/users/add?name=app", hash_password("x", 1).value()).status, 403);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "users"));
  EXPECT_FALSE(AdminSetup::is_mine("/v1/checks"));
  EXPECT_FALSE(AdminSetup::is_mine("/v1/queue"));
}

TEST_F(AdminSetupTest, KeepsUsers) {
  const std::string hash = hash_password("first", 1).value(), other = hash_password("second", 1).value();
  body("POST", "/v1/users/add?name=app&senders=@a.example,b@c.example&messages=10/h", hash + "\n");
  EXPECT_THAT(body("GET", "/v1/users"),
              HasSubstr("\"name\":\"app\",\"state\":\"active\",\"senders\":[\"@a.example\",\"b@c.example\"],"
                        "\"messages\":\"10/h\""));
  EXPECT_THAT(body("GET", "/v1/users"), Not(HasSubstr(hash)));

  EXPECT_EQ(ask("POST", "/v1/users/add?name=app", other).status, 409);  // there already
  body("POST", "/v1/users/suspend?name=app");
  EXPECT_THAT(body("GET", "/v1/users"), HasSubstr("\"state\":\"suspended\""));
  body("POST", "/v1/users/resume?name=app");
  EXPECT_THAT(body("GET", "/v1/users"), HasSubstr("\"state\":\"active\""));
  body("POST", "/v1/users/passwd?name=app", other);
  EXPECT_EQ(log_.events("admin").size(), 4u);
  EXPECT_FALSE(log_.holds(other));

  body("POST", "/v1/users/remove?name=app");
  EXPECT_EQ(body("GET", "/v1/users"), "");
  EXPECT_EQ(ask("POST", "/v1/users/remove?name=app").status, 409);
}

TEST_F(AdminSetupTest, ForgetsTheKeysOfTheOldPassword) {
  UserRecord user;
  user.name = "app";
  user.scram = make_scram("first");
  std::ofstream(folder_ / "users") << print_users({user});
  body("POST", "/v1/users/passwd?name=app", hash_password("second", 1).value());
  std::ifstream file(folder_ / "users");
  const std::string text(std::istreambuf_iterator<char>(file), {});
  const auto users = parse_users(text).users;
  ASSERT_EQ(users.size(), 1u);
  EXPECT_FALSE(users[0].scram);
  EXPECT_TRUE(verify_password(users[0].password_hash, "second"));
}

TEST_F(AdminSetupTest, ALimitThatIsEmptyOrMisspeltMakesNoUserWithout) {
  const std::string hash = hash_password("x", 1).value();
  for (const char* lost : {"messages=", "recipients=", "messages", "mesages=5/h", "senders=", "=5/h"})
    EXPECT_EQ(ask("POST", std::string("/v1/users/add?name=app&") + lost, hash).status, 400) << lost;
  EXPECT_EQ(ask("POST", "/v1/dkim/keygen?domain=a.example&selector=").status, 400);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "users"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "dkim"));
}

TEST_F(AdminSetupTest, TakesNoPasswordAndNoNonsense) {
  const std::string hash = hash_password("x", 1).value();
  for (const char* wrong : {"", "a clear password", "$y$"})
    EXPECT_EQ(ask("POST", "/v1/users/add?name=app", wrong).status, 400) << wrong;
  EXPECT_EQ(ask("POST", "/v1/users/add", hash).status, 400);
  EXPECT_EQ(ask("POST", "/v1/users/add?name=a%20b", hash).status, 400);
  EXPECT_EQ(ask("POST", "/v1/users/add?name=app&senders=nobody", hash).status, 400);
  EXPECT_EQ(ask("POST", "/v1/users/add?name=app&messages=many", hash).status, 400);
  EXPECT_EQ(ask("POST", "/v1/users/frobnicate?name=app", hash).status, 404);
  EXPECT_EQ(ask("GET", "/v1/dkim?selector=a/b").status, 400);
  EXPECT_EQ(ask("POST", "/v1/dkim/keygen?domain=a.example&algorithm=rot13").status, 400);
  EXPECT_EQ(ask("POST", "/v1/dkim/keygen").status, 400);
  EXPECT_EQ(ask("GET", "/v1/check").status, 400);
  EXPECT_EQ(ask("GET", "/v1/check?domain=a..b").status, 400);
  EXPECT_EQ(ask("GET", "/v1/dns/frobnicate").status, 404);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "users"));
}

TEST_F(AdminSetupTest, SaysWhatIsWrongWithAUsersFile) {
  std::ofstream(folder_ / "users") << "app colour=blue\n";
  const AdminResponse response = ask("GET", "/v1/users");
  EXPECT_EQ(response.status, 503);
  EXPECT_THAT(response.body, HasSubstr("line 1"));
}

TEST_F(AdminSetupTest, MakesAKeyOnceAndPrintsItsRecord) {
  const std::string made = body("POST", "/v1/dkim/keygen?domain=a.example&algorithm=ed25519");
  EXPECT_THAT(made, HasSubstr("\"made\":true"));
  EXPECT_THAT(made, HasSubstr("s1._domainkey.a.example"));
  EXPECT_THAT(body("POST", "/v1/dkim/keygen?domain=a.example"), HasSubstr("\"made\":false"));
  body("POST", "/v1/dkim/keygen?domain=a.example&selector=s2&algorithm=ed25519");
  EXPECT_THAT(body("GET", "/v1/dkim"), HasSubstr("\"selector\":\"s2\",\"in_use\":false"));
  EXPECT_THAT(body("GET", "/v1/dkim?selector=s1"), Not(HasSubstr("\"selector\":\"s2\"")));
  EXPECT_EQ(log_.events("admin").size(), 2u);
}

TEST_F(AdminSetupTest, ShowsTheConfigurationWithoutItsSecrets) {
  UserSettings user;
  user.name = "app";
  user.password_hash = "$y$j9T$secret";
  settings_.settings.users.push_back(user);
  const std::string text = body("GET", "/v1/config");
  EXPECT_THAT(text, HasSubstr("hostname = \"relay.test\""));
  EXPECT_THAT(text, HasSubstr("********"));
  EXPECT_THAT(text, Not(HasSubstr("secret\"")));
}

TEST_F(AdminSetupTest, ChecksOneThingAtATimeAndSaysWhatDnsDidNotTell) {
  ask_a_silent_server();
  AdminRequest request;
  request.method = "GET";
  request.trusted = true;
  ASSERT_TRUE(parse_target("/v1/check?domain=a.example", request));
  auto first =
      std::async(std::launch::async, [&] { return run(another_, setup_.handle(std::move(request))); });
  wait_for_a_question();
  const AdminResponse second = ask("GET", "/v1/check?domain=b.example");
  EXPECT_EQ(second.status, 503) << second.body;
  EXPECT_THAT(second.body, HasSubstr("under way"));
  const AdminResponse response = first.get();
  EXPECT_EQ(response.status, 200);
  EXPECT_THAT(response.body, HasSubstr("\"verdict\":\"unknown\""));
  EXPECT_THAT(body("GET", "/v1/dns/check?domain=a.example"), HasSubstr("\"severity\":\"unknown\""));
}

}  // namespace
}  // namespace holdfast
