#include "smtp/server/password_authenticator.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <ctime>
#include <fstream>

#include "tests/fakes/capture.h"
#include "tests/fakes/run.h"

namespace holdfast {
namespace {

class PasswordAuthenticatorTest : public testing::Test {
 protected:
  PasswordAuthenticatorTest() {
    directory_ = std::filesystem::temp_directory_path() /
                 ("holdfast-auth-" + std::to_string(::getpid()) + "-" +
                  testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(directory_);
    settings_.auth.users_file = directory_ / "users";
    settings_.auth.max_failures = Rate{3, std::chrono::minutes(3)};
    settings_.auth.cache = std::chrono::minutes(5);
    UserSettings user;
    user.name = "configured";
    user.password_hash = cheap_hash("secret");
    user.senders = {"@example.com"};
    settings_.users.push_back(user);
  }
  ~PasswordAuthenticatorTest() override { std::filesystem::remove_all(directory_); }

  // The cheapest hash there is: the tests are about what is hashed, not how long it takes.
  static std::string cheap_hash(const std::string& password) {
    static std::map<std::string, std::string> hashes;
    std::string& hash = hashes[password];
    if (hash.empty()) hash = *hash_password(password, 1);
    return hash;
  }

  void write_users(const std::string& text) {
    // A new inode, as `holdfast user` makes it, so that the change shows whatever the clock says.
    std::ofstream(directory_ / "users.new") << text;
    std::filesystem::rename(directory_ / "users.new", settings_.auth.users_file);
  }

  PasswordAuthenticator& authenticator() {
    if (!authenticator_) {
      authenticator_ = std::make_unique<PasswordAuthenticator>(std::make_shared<const Settings>(settings_),
                                                               pools_, clock_, log_);
    }
    return *authenticator_;
  }

  AuthResult login(const std::string& user, const std::string& password, const char* ip = "192.0.2.1") {
    auto check = authenticator().verify_password(user, Secret(password), *parse_ip(ip));
    return run(context_, std::move(check));
  }
  AuthVerdict verdict(const std::string& user, const std::string& password, const char* ip = "192.0.2.1") {
    return login(user, password, ip).verdict;
  }

  std::filesystem::path directory_;
  Settings settings_;
  FakeClock clock_;
  CapturingLog log_;
  asio::io_context context_;
  asio::thread_pool pool_{2}, known_pool_{1};
  AuthPools pools_{pool_.get_executor(), pool_.get_executor(), known_pool_.get_executor()};
  std::unique_ptr<PasswordAuthenticator> authenticator_;
};

TEST_F(PasswordAuthenticatorTest, KnowsUsersOfTheConfiguration) {
  const AuthResult result = login("configured", "secret");
  ASSERT_EQ(result.verdict, AuthVerdict::accepted);
  EXPECT_EQ(result.identity->user, "configured");
  EXPECT_EQ(result.identity->senders, std::vector<std::string>{"@example.com"});
  EXPECT_EQ(verdict("configured", "Secret"), AuthVerdict::rejected);
  EXPECT_EQ(verdict("Configured", "secret"), AuthVerdict::rejected);
  EXPECT_EQ(verdict("nobody", "secret"), AuthVerdict::rejected);
}

TEST_F(PasswordAuthenticatorTest, HashesClearPasswordsOfTheConfiguration) {
  settings_.users[0].password_hash.clear();
  settings_.users[0].password = "in clear";
  EXPECT_EQ(verdict("configured", "in clear"), AuthVerdict::accepted);
  EXPECT_EQ(verdict("configured", "secret"), AuthVerdict::rejected);
}

TEST_F(PasswordAuthenticatorTest, KnowsUsersOfTheFileAndFollowsItsChanges) {
  write_users("filed password=" + cheap_hash("one") + " senders=@b.example messages=5/h\n");
  const AuthResult result = login("filed", "one");
  ASSERT_EQ(result.verdict, AuthVerdict::accepted);
  EXPECT_EQ(result.identity->messages.count, 5U);
  write_users("filed password=" + cheap_hash("two") + "\nfurther password=" + cheap_hash("three") + "\n");
  clock_.advance(std::chrono::seconds(2));
  EXPECT_EQ(verdict("filed", "one"), AuthVerdict::rejected);
  EXPECT_EQ(verdict("filed", "two"), AuthVerdict::accepted);
  EXPECT_EQ(verdict("further", "three"), AuthVerdict::accepted);
  write_users("");
  clock_.advance(std::chrono::seconds(2));
  EXPECT_EQ(verdict("filed", "two"), AuthVerdict::rejected);
}

TEST_F(PasswordAuthenticatorTest, RefusesSuspendedUsersAtOnce) {
  write_users("filed password=" + cheap_hash("one") + "\n");
  EXPECT_EQ(verdict("filed", "one"), AuthVerdict::accepted);
  write_users("filed password=" + cheap_hash("one") + " suspended\n");
  clock_.advance(std::chrono::seconds(2));
  EXPECT_EQ(verdict("filed", "one"), AuthVerdict::rejected);
}

TEST_F(PasswordAuthenticatorTest, LetsTheConfigurationWinOverTheFile) {
  write_users("configured password=" + cheap_hash("other") + "\n");
  EXPECT_EQ(verdict("configured", "other"), AuthVerdict::rejected);
  EXPECT_EQ(verdict("configured", "secret"), AuthVerdict::accepted);
  EXPECT_TRUE(log_.holds("the configuration counts"));
}

TEST_F(PasswordAuthenticatorTest, SkipsFaultyLinesAndSaysSo) {
  write_users("filed password=" + cheap_hash("one") + "\nbroken pass=x\n");
  EXPECT_EQ(verdict("filed", "one"), AuthVerdict::accepted);
  EXPECT_TRUE(log_.holds("line 2"));
}

TEST_F(PasswordAuthenticatorTest, IsUnavailableForUnknownUsersWhileTheFileCannotBeRead) {
  std::filesystem::create_directories(settings_.auth.users_file);  // a directory in its place
  EXPECT_EQ(verdict("filed", "one"), AuthVerdict::unavailable);
  EXPECT_EQ(verdict("configured", "secret"), AuthVerdict::accepted);
}

TEST_F(PasswordAuthenticatorTest, LocksOutAnAddressWithoutHashing) {
  for (int i = 0; i < 3; ++i) EXPECT_EQ(verdict("configured", "wrong"), AuthVerdict::rejected);
  EXPECT_EQ(verdict("configured", "wrong"), AuthVerdict::locked_out);
  EXPECT_EQ(verdict("configured", "secret"), AuthVerdict::locked_out);
  EXPECT_EQ(verdict("configured", "secret", "192.0.2.2"), AuthVerdict::accepted);
  clock_.advance(std::chrono::minutes(1));
  EXPECT_EQ(verdict("configured", "secret"), AuthVerdict::accepted);
  EXPECT_EQ(verdict("configured", "secret"), AuthVerdict::accepted);
}

TEST_F(PasswordAuthenticatorTest, CountsGuessesThatComeTogetherBeforeHashingThem) {
  int rejected = 0, locked = 0, done = 0;
  for (int i = 0; i < 20; ++i) {
    auto check = authenticator().verify_password("configured", Secret("guess"), *parse_ip("192.0.2.1"));
    asio::co_spawn(context_, std::move(check), [&](std::exception_ptr, AuthResult result) {
      rejected += result.verdict == AuthVerdict::rejected;
      locked += result.verdict == AuthVerdict::locked_out;
      ++done;
    });
  }
  context_.restart();
  while (done < 20) context_.run_one();
  EXPECT_EQ(rejected, 3);
  EXPECT_EQ(locked, 17);
}

TEST_F(PasswordAuthenticatorTest, TellsAFloodToComeAgain) {
  settings_.auth.max_failures = Rate{};
  settings_.users[0].password_hash = *hash_password("secret");  // one that takes its time
  int unavailable = 0, done = 0;
  const int flood = static_cast<int>(PasswordAuthenticator::kMaxPending) + 50;
  for (int i = 0; i < flood; ++i) {
    auto check = authenticator().verify_password("configured", Secret("guess"), *parse_ip("192.0.2.1"));
    asio::co_spawn(context_, std::move(check), [&](std::exception_ptr, AuthResult result) {
      unavailable += result.verdict == AuthVerdict::unavailable;
      ++done;
    });
  }
  context_.restart();
  while (done < flood) context_.run_one();
  EXPECT_GT(unavailable, 0);
  EXPECT_LE(unavailable, 50);
}

TEST_F(PasswordAuthenticatorTest, KeepsPlacesForAddressesThatHaveLoggedIn) {
  settings_.auth.max_failures = Rate{};
  settings_.auth.cache = std::chrono::minutes(0);
  settings_.users[0].password_hash = *hash_password("secret");  // one that takes its time
  EXPECT_EQ(verdict("configured", "secret", "192.0.2.7"), AuthVerdict::accepted);
  int done = 0;
  std::optional<AuthVerdict> known, stranger;
  const auto begin = [&](const char* password, const char* ip, std::optional<AuthVerdict>* into) {
    auto check = authenticator().verify_password("configured", Secret(password), *parse_ip(ip));
    asio::co_spawn(context_, std::move(check), [&done, into](std::exception_ptr, AuthResult result) {
      if (into != nullptr) *into = result.verdict;
      ++done;
    });
  };
  for (unsigned i = 0; i < PasswordAuthenticator::kMaxPending + 30; ++i) begin("guess", "192.0.2.1", nullptr);
  begin("secret", "192.0.2.7", &known);
  begin("secret", "192.0.2.8", &stranger);
  context_.restart();
  while (done < static_cast<int>(PasswordAuthenticator::kMaxPending) + 32) context_.run_one();
  EXPECT_EQ(known, AuthVerdict::accepted);
  EXPECT_EQ(stranger, AuthVerdict::unavailable);
}

// What it costs the processor, since there is nothing else to see of the cache from outside: a busy machine
// makes it no longer.
Duration time_of(const std::function<void()>& work) {
  const auto spent = [] {
    timespec t{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec);
  };
  const auto before = spent();
  work();
  return std::chrono::duration_cast<Duration>(spent() - before);
}

TEST_F(PasswordAuthenticatorTest, RemembersWhatItVerified) {
  settings_.users[0].password_hash = *hash_password("secret");
  const Duration first = time_of([&] { EXPECT_EQ(verdict("configured", "secret"), AuthVerdict::accepted); });
  const Duration again = time_of([&] {
    for (int i = 0; i < 20; ++i) EXPECT_EQ(verdict("configured", "secret"), AuthVerdict::accepted);
  });
  EXPECT_LT(again, first * 10);  // twenty for less than the price of ten
}

TEST(VerifiedCache, ForgetsInTime) {
  VerifiedCache cache(std::chrono::minutes(5));
  const SteadyTime now{std::chrono::hours(1)};
  EXPECT_FALSE(cache.knows("a", "secret", "hash", now));
  cache.add("a", "secret", "hash", now);
  EXPECT_TRUE(cache.knows("a", "secret", "hash", now + std::chrono::minutes(4)));
  EXPECT_FALSE(cache.knows("a", "other", "hash", now));
  EXPECT_FALSE(cache.knows("b", "secret", "hash", now));
  EXPECT_FALSE(cache.knows("a", "secret", "hash", now + std::chrono::minutes(5)));
  EXPECT_EQ(cache.size(), 0U);
}

TEST(VerifiedCache, ForgetsWhenThePasswordChanges) {
  VerifiedCache cache(std::chrono::minutes(5));
  const SteadyTime now{std::chrono::hours(1)};
  cache.add("a", "secret", "old hash", now);
  EXPECT_FALSE(cache.knows("a", "secret", "new hash", now));
  EXPECT_FALSE(cache.knows("a", "secret", "old hash", now));
}

TEST(VerifiedCache, CanBeOffAndIsBounded) {
  const SteadyTime now{std::chrono::hours(1)};
  VerifiedCache off(Duration(0));
  off.add("a", "secret", "hash", now);
  EXPECT_FALSE(off.knows("a", "secret", "hash", now));
  VerifiedCache cache(std::chrono::minutes(5));
  for (int i = 0; i < 11000; ++i) cache.add("user" + std::to_string(i), "secret", "hash", now);
  EXPECT_LE(cache.size(), 10000U);
  cache.add("late", "secret", "hash", now + std::chrono::minutes(6));
  EXPECT_TRUE(cache.knows("late", "secret", "hash", now + std::chrono::minutes(6)));
}

TEST_F(PasswordAuthenticatorTest, TakesAsLongForUnknownUsers) {
  settings_.auth.max_failures = Rate{};
  settings_.users[0].password_hash = *hash_password("secret");
  std::vector<Duration> known, unknown;
  for (int i = 0; i < 9; ++i) {
    known.push_back(time_of([&] { EXPECT_EQ(verdict("configured", "wrong"), AuthVerdict::rejected); }));
    unknown.push_back(time_of([&] { EXPECT_EQ(verdict("nobody", "wrong"), AuthVerdict::rejected); }));
  }
  std::sort(known.begin(), known.end());
  std::sort(unknown.begin(), unknown.end());
  const double ratio = static_cast<double>(unknown[4].count()) / static_cast<double>(known[4].count());
  EXPECT_GT(ratio, 0.6);
  EXPECT_LT(ratio, 1.6);
}

TEST_F(PasswordAuthenticatorTest, OffersStableKeysToUsersThatDoNotExist) {
  settings_.users[0].password_hash.clear();
  settings_.users[0].password = "secret";
  auto offer = [&](const char* user) {
    auto task = authenticator().offer_scram(user, *parse_ip("192.0.2.1"));
    return run(context_, std::move(task)).keys;
  };
  EXPECT_EQ(offer("nobody"), offer("nobody"));
  EXPECT_NE(offer("nobody").salt, offer("anyone").salt);
  EXPECT_EQ(offer("nobody").iterations, offer("configured").iterations);
  EXPECT_EQ(offer("nobody").salt.size(), offer("configured").salt.size());
}

TEST_F(PasswordAuthenticatorTest, CountsScramFailuresToo) {
  auto offer = [&] {
    auto task = authenticator().offer_scram("nobody", *parse_ip("192.0.2.1"));
    return run(context_, std::move(task)).verdict;
  };
  auto conclude = [&](bool proved) {
    auto task = authenticator().conclude_scram("nobody", proved, *parse_ip("192.0.2.1"));
    return run(context_, std::move(task)).verdict;
  };
  // Offers made together, as by many connections at once: each guess counts when it is made.
  for (int i = 0; i < 4; ++i) EXPECT_EQ(offer(), AuthVerdict::accepted);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(conclude(false), AuthVerdict::rejected);
  EXPECT_EQ(conclude(true), AuthVerdict::locked_out);
  EXPECT_EQ(offer(), AuthVerdict::locked_out);
}

TEST_F(PasswordAuthenticatorTest, LetsManyRightLoginsInThatComeTogether) {
  int accepted = 0, done = 0;
  for (int i = 0; i < 20; ++i) {
    auto check = authenticator().verify_password("configured", Secret("secret"), *parse_ip("192.0.2.1"));
    asio::co_spawn(context_, std::move(check), [&](std::exception_ptr, AuthResult result) {
      accepted += result.verdict == AuthVerdict::accepted;
      ++done;
    });
  }
  context_.restart();
  while (done < 20) context_.run_one();
  EXPECT_EQ(accepted, 20);
}

TEST_F(PasswordAuthenticatorTest, KnowsWhoIsStillThere) {
  auto identity = [&](const char* user) {
    auto task = authenticator().identity_of(user);
    return run(context_, std::move(task));
  };
  write_users("filed password=" + cheap_hash("one") + " senders=@b.example\n");
  EXPECT_EQ(identity("filed")->senders, std::vector<std::string>{"@b.example"});
  write_users("filed password=" + cheap_hash("one") + " suspended\n");
  clock_.advance(std::chrono::seconds(2));
  EXPECT_FALSE(identity("filed"));
  EXPECT_FALSE(identity("nobody"));
  auto standing = [&](const char* user) {
    auto task = authenticator().standing_of(user);
    return run(context_, std::move(task));
  };
  EXPECT_EQ(standing("filed"), Standing::suspended);
  EXPECT_EQ(standing("configured"), Standing::good);
  write_users("");
  clock_.advance(std::chrono::seconds(2));
  EXPECT_EQ(standing("filed"), Standing::unknown);
}

TEST_F(PasswordAuthenticatorTest, TakesANewConfiguration) {
  EXPECT_EQ(verdict("configured", "secret"), AuthVerdict::accepted);
  Settings changed = settings_;
  changed.users[0].password_hash = cheap_hash("changed");
  authenticator().reload(std::make_shared<const Settings>(changed));
  EXPECT_EQ(verdict("configured", "secret"), AuthVerdict::rejected);
  EXPECT_EQ(verdict("configured", "changed"), AuthVerdict::accepted);
  changed.users.clear();
  authenticator().reload(std::make_shared<const Settings>(changed));
  EXPECT_EQ(verdict("configured", "changed"), AuthVerdict::rejected);
}

}  // namespace
}  // namespace holdfast
