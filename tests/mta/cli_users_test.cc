// The command line: users.
#include <gmock/gmock.h>

#include "config/users_file.h"
#include "smtp/server/user_directory.h"
#include "smtp/wire/base64.h"
#include "tests/mta/cli_fixture.h"
#include "tests/mta/fake_relay.h"

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

TEST_F(Cli, UserAddWritesHashAndKeysThatOnlyTheOwnerReads) {
  const Ran ran = run(
      {"user", "add", "app", "--sender", "@example.com", "--sender", "a@b.example", "--messages", "2000/h"},
      "pencil\n");
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(users(), Not(HasSubstr("pencil")));
  const UsersFile file = parse_users(users());
  ASSERT_EQ(file.users.size(), 1U);
  EXPECT_TRUE(verify_password(file.users[0].password_hash, "pencil"));
  ASSERT_TRUE(file.users[0].scram);
  EXPECT_THAT(file.users[0].senders, ElementsAre("@example.com", "a@b.example"));
  EXPECT_EQ(file.users[0].messages.count, 2000U);
  struct stat info {};
  ASSERT_EQ(::stat((dir_.path() / "data/users").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
}

TEST_F(Cli, AUserIsAddedOnceAndAnUnknownOneIsANo) {
  ASSERT_EQ(run({"user", "add", "app", "--sender", "*"}, "x\n").code, 0);
  EXPECT_EQ(run({"user", "add", "app", "--sender", "*"}, "x\n").code, 1);
  for (const char* command : {"passwd", "remove", "suspend"}) {
    const Ran ran = run({"user", command, "ghost"}, "x\n");
    EXPECT_EQ(ran.code, 1) << command;
    EXPECT_THAT(ran.err, HasSubstr("there is no user \"ghost\""));
  }
}

TEST_F(Cli, UsersAreSuspendedChangedListedAndRemoved) {
  const auto secret = dir_.write("pw", "first\n").string();
  ASSERT_EQ(run({"user", "add", "a", "--sender", "*", "--password-file", secret}).code, 0);
  ASSERT_EQ(run({"user", "add", "b", "--sender", "@b.example"}, "x\n").code, 0);
  ASSERT_EQ(run({"user", "suspend", "a"}).code, 0);
  EXPECT_EQ(run({"user", "list"}).out,
            "a\tsuspended\t*\t\t\tusers file\nb\tactive\t@b.example\t\t\tusers file\n");
  EXPECT_THAT(run({"user", "list", "--json"}).out,
              HasSubstr("{\"schema\":1,\"name\":\"b\",\"state\":\"active\",\"senders\":[\"@b.example\"],"));
  ASSERT_EQ(run({"user", "suspend", "a", "--resume"}).code, 0);
  ASSERT_EQ(run({"user", "passwd", "a"}, "second\n").code, 0);
  const UserRecord user = parse_users(users()).users.at(0);
  EXPECT_FALSE(user.suspended);
  EXPECT_TRUE(verify_password(user.password_hash, "second"));
  EXPECT_FALSE(verify_password(user.password_hash, "first"));
  ASSERT_EQ(run({"user", "remove", "a"}).code, 0);
  EXPECT_EQ(parse_users(users()).users.size(), 1U);
}

TEST_F(Cli, NeitherANewUserNorANewPasswordShowsByItsScramSalt) {
  const std::string key(32, 'k'), before = base64_encode(scram_salt(key, "app"));
  dir_.write("data/scram.key", key);
  ASSERT_EQ(run({"user", "add", "app", "--sender", "*"}, "first\n").code, 0);
  const ScramKeys added = parse_users(users()).users.at(0).scram.value();
  EXPECT_EQ(added.salt, before) << "that of the name when nobody had it";
  ASSERT_EQ(run({"user", "passwd", "app"}, "second\n").code, 0);
  const ScramKeys changed = parse_users(users()).users.at(0).scram.value();
  EXPECT_EQ(changed, derive_scram("second", scram_salt(key, "app")));
  EXPECT_NE(changed.stored_key, added.stored_key);

  const ScramKeys older = *make_scram("first");
  dir_.write("data/users", "old password=" + *hash_password("first", 1) +
                               " scram=" + std::to_string(older.iterations) + "," + older.salt + "," +
                               older.stored_key + "," + older.server_key + " senders=*\n");
  ASSERT_EQ(run({"user", "passwd", "old"}, "second\n").code, 0);
  EXPECT_EQ(parse_users(users()).users.at(0).scram->salt, older.salt) << "what was told already stays";
}

TEST_F(Cli, ASuspendedUsersMailIsHeldAndReleasedByTheRelay) {
  ASSERT_EQ(run({"user", "add", "app", "--sender", "*"}, "x\n").code, 0);
  EXPECT_EQ(run({"user", "suspend", "app", "--hold"}).code, 69) << "no relay runs";
  EXPECT_TRUE(parse_users(users()).users.at(0).suspended) << "suspended all the same";
  const FakeRelay relay(socket(), [](const std::string&) { return "200 {\"schema\":1,\"count\":2}"; });
  EXPECT_EQ(run({"user", "suspend", "app", "--hold"}).out, "hold: 2 recipients\nhold: 2 recipients\n");
  EXPECT_EQ(run({"user", "suspend", "app", "--resume", "--release"}).out, "release: 2 recipients\n");
  EXPECT_FALSE(parse_users(users()).users.at(0).suspended);
  EXPECT_THAT(relay.asked(), ElementsAre("POST /v1/queue/hold?user=app", "POST /v1/queue/hold?user=app",
                                         "POST /v1/queue/release?user=app&state=held"));
  EXPECT_EQ(run({"user", "suspend", "app", "--release"}).code, 64);
  EXPECT_EQ(run({"user", "suspend", "app", "--hold", "--resume"}).code, 64);
}

TEST_F(Cli, UnusablePasswordsAndSendersChangeNothing) {
  EXPECT_EQ(run({"user", "add", "a", "--sender", "*"}, "").code, 65);
  EXPECT_EQ(run({"user", "add", "a", "--sender", "*"}, "\n").code, 65);
  EXPECT_EQ(run({"user", "add", "a", "--sender", "*"}, std::string(600, 'x') + "\n").code, 65);
  EXPECT_EQ(run({"user", "add", "a", "--sender", "nobody"}, "x\n").code, 64);
  EXPECT_EQ(run({"user", "add", "a b", "--sender", "*"}, "x\n").code, 64);
  EXPECT_EQ(run({"user", "add", "a", "--sender", "*", "--messages", "lots"}, "x\n").code, 64);
  EXPECT_EQ(users(), "");
}

TEST_F(Cli, AFaultyUsersFileIsLeftAsItIs) {
  dir_.write("data/users", "app sender=*\n");
  const Ran ran = run({"user", "add", "b", "--sender", "*"}, "x\n");
  EXPECT_EQ(ran.code, 65);
  EXPECT_THAT(ran.err, HasSubstr("data/users: line 1: unknown field \"sender\""));
  EXPECT_EQ(users(), "app sender=*\n");
}

TEST_F(Cli, AnOwnerOfTheUsersFileStaysItsOwner) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give files away";
  ASSERT_EQ(::chown((dir_.path() / "data").c_str(), 10001, 10001), 0);
  ASSERT_EQ(run({"user", "add", "a", "--sender", "*"}, "x\n").code, 0);
  struct stat info {};
  ASSERT_EQ(::stat((dir_.path() / "data/users").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 10001U) << "root prepares the file for the relay's user";
}

}  // namespace
}  // namespace holdfast
