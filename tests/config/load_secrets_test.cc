// Passwords, hashes, keys and certificates: in files that others may not read.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/config/load_lines.h"

namespace holdfast::loading {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// In a process of its own, as nobody: root may read everything.
[[noreturn]] void load_as_nobody(const ConfigDirectory& dir) {
  if (::geteuid() == 0 && ::setuid(65534) != 0) std::_Exit(2);
  const Loaded loaded = dir.load_again();
  const std::string wanted =
      "holdfast.toml:4:1: tls.private_key: the file key.pem cannot be read by this user: Permission denied; "
      "give it "
      "to the relay's user or group";
  const auto lines = dir.lines(loaded.errors);
  for (const auto& line : lines) std::fputs((line + "\n").c_str(), stderr);
  std::_Exit(lines == std::vector<std::string>{wanted} ? 0 : 1);
}

TEST(Load, AKeyThatTheRelaysUserMayNotReadIsAMistake) {
  const ConfigDirectory dir;
  std::filesystem::permissions(dir.path(), std::filesystem::perms(0755));
  const auto cert = dir.write("cert.pem", "-", 0644), key = dir.write("key.pem", "-", 0);
  dir.write("holdfast.toml",
            "hostname = \"relay.example\"\n[tls]\ncertificate = \"" + cert.string() + "\"\nprivate_key = \"" +
                key.string() + "\"\n",
            0644);
  EXPECT_EXIT(load_as_nobody(dir), testing::ExitedWithCode(0), "");
}

TEST(Load, SecretsComeFromFilesWithoutTheirLastLineEnd) {
  const ConfigDirectory dir;
  const auto token = dir.write("token", "t0ken\r\n").string();
  const auto hashed = dir.write("hash", hash + "\n").string();
  const std::string user = "[[user]]\nname = \"a\"\nsenders = [\"*\"]\n";
  const Loaded loaded =
      dir.load(host + "[admin]\nhttp = \"0.0.0.0:8080\"\n" + user,
               {{"HOLDFAST_ADMIN__TOKEN_FILE", token}, {"HOLDFAST_USER__0__PASSWORD_HASH_FILE", hashed}});
  ASSERT_THAT(dir.lines(loaded.errors), IsEmpty());
  EXPECT_EQ(loaded.settings->admin.token, "t0ken");
  EXPECT_EQ(loaded.settings->users[0].password_hash, hash);
  const Loaded by_file = dir.load(host + user + "password_file = \"hash\"\n");
  ASSERT_THAT(dir.lines(by_file.errors), IsEmpty());
  EXPECT_EQ(by_file.settings->users[0].password_hash, hash) << "a password file may hold the hash";
  EXPECT_EQ(by_file.settings->users[0].password, "");
}

TEST(Load, ASecretThatOthersMayReadIsAWarning) {
  const ConfigDirectory dir;
  const auto token = dir.write("token", "t\n", 0644);
  const Loaded loaded = dir.load(host + "[admin]\ntoken_file = \"token\"\n");
  ASSERT_TRUE(loaded.settings);
  EXPECT_THAT(
      dir.lines(loaded.warnings),
      testing::Contains("holdfast.toml:3:1: admin.token_file: others may read token; run chmod 600 on it"));
}

TEST(Load, EmptyAndManyLineSecretsAreErrors) {
  const ConfigDirectory dir;
  dir.write("empty", "\n");
  dir.write("lines", "one\ntwo\n");
  EXPECT_THAT(dir.lines(dir.load(host + "[admin]\ntoken_file = \"empty\"\n").errors),
              ElementsAre("holdfast.toml:3:1: admin.token_file: the file empty cannot be used: is empty"));
  EXPECT_THAT(
      dir.lines(dir.load(host + "[admin]\ntoken_file = \"lines\"\n").errors),
      ElementsAre(
          "holdfast.toml:3:1: admin.token_file: the file lines cannot be used: has more than one line"));
}

TEST(Load, TwoUsersOfOneNameAreAnError) {
  const ConfigDirectory dir;
  const std::string user = "[[user]]\nname = \"a\"\nsenders = [\"*\"]\npassword_hash = \"" + hash + "\"\n";
  EXPECT_THAT(
      dir.lines(dir.load(host + user + user).errors),
      ElementsAre("holdfast.toml:7:1: user[1].name: the user \"a\" stands here twice; remove one of them"));
}

TEST(Load, ARoutePasswordGoesOnlyToAVerifiedPeer) {
  const ConfigDirectory dir;
  dir.write("pw", "x\n");
  const std::string route = "[[route]]\nrecipients = [\"*\"]\nvia = [\"mx.example\"]\n";
  EXPECT_THAT(
      dir.lines(
          dir.load(host + route + "username = \"u\"\npassword_file = \"pw\"\ntls = \"required\"\n").errors),
      ElementsAre("holdfast.toml:7:1: route[0].tls: must be \"verify\" with a username: else the password "
                  "could go to anyone"));
  EXPECT_THAT(dir.lines(dir.load(host + route + "username = \"u\"\n").errors),
              ElementsAre("holdfast.toml:2:1: route[0].password_file: is missing beside username"));
}

TEST(Load, ACertificateThatIsMissingIsAWarningWhereOneCanBeMade) {
  const ConfigDirectory dir;
  const std::string pair = "[tls]\ncertificate = \"cert.pem\"\nprivate_key = \"key.pem\"\n";
  const Loaded loaded = dir.load(host + pair);
  EXPECT_TRUE(loaded.settings);
  EXPECT_EQ(loaded.warnings.size(), 2U);
  EXPECT_EQ(dir.load(host + pair + "if_missing = \"fail\"\n").errors.size(), 2U);
  EXPECT_THAT(dir.lines(dir.load(host + "[tls]\ncertificate = \"cert.pem\"\n").errors),
              ElementsAre("holdfast.toml:3:1: tls.certificate: needs tls.private_key beside it"));
}

}  // namespace
}  // namespace holdfast::loading
