// What SCRAM tells of a name before any password: nothing by which one that somebody has differs from one
// that nobody has, however often and whenever it is asked.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <fstream>

#include "smtp/server/password_authenticator.h"
#include "tests/fakes/capture.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/run.h"

namespace holdfast {
namespace {

class ScramSalt : public testing::Test {
 protected:
  ScramSalt() {
    settings_.data_dir = std::filesystem::temp_directory_path() /
                         ("holdfast-salt-" + std::to_string(::getpid()) + "-" +
                          testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(settings_.data_dir);
    settings_.auth.users_file = settings_.data_dir / "users";
    settings_.users.push_back(in_clear("configured", "secret"));
    start();
  }
  ~ScramSalt() override { std::filesystem::remove_all(settings_.data_dir); }

  static UserSettings in_clear(const std::string& name, const std::string& password) {
    UserSettings user;
    user.name = name;
    user.password = password;
    user.senders = {"*"};
    return user;
  }
  void start() {
    authenticator_ = std::make_unique<PasswordAuthenticator>(std::make_shared<const Settings>(settings_),
                                                             pools_, clock_, log_);
  }
  void write_users(const std::string& text) {
    std::ofstream(settings_.data_dir / "users.new") << text;
    std::filesystem::rename(settings_.data_dir / "users.new", settings_.auth.users_file);
    clock_.advance(std::chrono::seconds(2));
  }
  static std::string line_of(const std::string& name, const ScramKeys& keys, const char* more = "") {
    return name + " password=" + *hash_password("secret", 1) + " scram=" + std::to_string(keys.iterations) +
           "," + keys.salt + "," + keys.stored_key + "," + keys.server_key + more + "\n";
  }
  ScramKeys offered_to(const std::string& user) {
    auto task = authenticator_->offer_scram(user, *parse_ip("192.0.2.1"));
    return run(context_, std::move(task)).keys;
  }

  Settings settings_;
  FakeClock clock_;
  CapturingLog log_;
  asio::io_context context_;
  asio::thread_pool pool_{1};
  AuthPools pools_{pool_.get_executor(), pool_.get_executor(), pool_.get_executor()};
  std::unique_ptr<PasswordAuthenticator> authenticator_;
};

TEST_F(ScramSalt, OfANameThatNobodyHasOutlivesARestart) {
  const ScramKeys before = offered_to("nobody");
  start();
  EXPECT_EQ(offered_to("nobody"), before);
  struct stat info {};
  ASSERT_EQ(::stat((settings_.data_dir / "scram.key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
}

TEST_F(ScramSalt, OfAUserWithAClearPasswordOutlivesARestartToo) {
  const ScramKeys before = offered_to("configured");
  start();
  EXPECT_EQ(offered_to("configured"), before) << "else the names whose salts change are those that exist";
  settings_.users[0].password = "another";
  start();
  EXPECT_EQ(offered_to("configured").salt, before.salt);
  EXPECT_NE(offered_to("configured").stored_key, before.stored_key);
}

TEST_F(ScramSalt, DoesNotChangeWithOtherUsers) {
  const ScramKeys before = offered_to("nobody");
  write_users("aaa password=" + *hash_password("secret", 1) + "\n");
  EXPECT_EQ(offered_to("nobody"), before);
  settings_.users[0].password = "changed";
  settings_.users.push_back(in_clear("a", "sorts before all"));
  authenticator_->reload(std::make_shared<const Settings>(settings_));
  EXPECT_EQ(offered_to("nobody"), before);
  settings_.users.clear();
  authenticator_->reload(std::make_shared<const Settings>(settings_));
  EXPECT_EQ(offered_to("nobody"), before);
  EXPECT_EQ(offered_to("configured").salt.size(), before.salt.size());
}

TEST_F(ScramSalt, OfAConfiguredUserIsThatOfTheNameBeforeAndAfterItExists) {
  const std::string before = offered_to("newcomer").salt;
  settings_.users.push_back(in_clear("newcomer", "secret"));
  start();
  EXPECT_EQ(offered_to("newcomer").salt, before);
  settings_.users.pop_back();
  start();
  EXPECT_EQ(offered_to("newcomer").salt, before);
}

TEST_F(ScramSalt, StaysWhenTheUserIsSuspendedButNoPasswordFitsIt) {
  const ScramKeys keys = *make_scram("secret", 5000);
  write_users(line_of("filed", keys));
  ASSERT_EQ(offered_to("filed"), keys);
  write_users(line_of("filed", keys, " suspended"));
  const ScramKeys suspended = offered_to("filed");
  EXPECT_EQ(suspended.salt, keys.salt);
  EXPECT_EQ(suspended.iterations, keys.iterations);
  EXPECT_NE(suspended.stored_key, keys.stored_key);
  EXPECT_NE(suspended.server_key, keys.server_key);
}

TEST_F(ScramSalt, IsOfTheProcessAloneWhenItsKeyCannotBeKeptAndThatIsSaid) {
  std::filesystem::remove(settings_.data_dir / "scram.key");
  std::filesystem::create_directories(settings_.data_dir / "scram.key");
  start();
  EXPECT_EQ(offered_to("nobody"), offered_to("nobody"));
  EXPECT_TRUE(log_.holds("the key of SCRAM salts cannot be kept"));
}

}  // namespace
}  // namespace holdfast
