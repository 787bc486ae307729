#include "config/users_file.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

using namespace std::chrono_literals;

const char* const kHash = "$y$j75$pmDyRB4HxnWmFVDSFEK0o/$AWR41jYZ1oYVqRMMuJxaNVYJdtDvCcBOVYeBTm0eQ.0";

UserRecord full_record() {
  UserRecord user;
  user.name = "app";
  user.password_hash = kHash;
  user.scram = derive_scram("pencil", "0123456789abcdef", 4096);
  user.senders = {"@example.com", "a@b.example", "@.sub.example"};
  user.messages = Rate{2000, 1h};
  user.recipients = Rate{20000, 24h};
  user.tls_required_no = true;
  user.suspended = true;
  return user;
}

TEST(UsersFile, ReadsBackEveryFieldThatItWrote) {
  UserRecord bare;
  bare.name = "bare";
  bare.senders = {"*"};
  const std::vector<UserRecord> users = {full_record(), bare};
  const UsersFile file = parse_users(print_users(users));
  EXPECT_TRUE(file.errors.empty());
  EXPECT_EQ(file.users, users);
}

TEST(UsersFile, SkipsCommentsAndEmptyLinesAndTakesCrlf) {
  const UsersFile file = parse_users("# users\r\n\r\napp senders=*\r\n");
  EXPECT_TRUE(file.errors.empty());
  ASSERT_EQ(file.users.size(), 1U);
  EXPECT_EQ(file.users[0].senders, std::vector<std::string>{"*"});
}

TEST(UsersFile, NamesEachFaultyLineAndKeepsTheOthers) {
  const UsersFile file = parse_users(
      "app senders=*\n"
      "app senders=*\n"
      "b sender=*\n"
      "c senders=nobody\n"
      "d messages=lots\n"
      "e password=clear\n"
      "f suspended=yes\n"
      "g scram=1,AAAA,AAAA,AAAA\n"
      "=x\n"
      "good senders=a@b.example\n");
  ASSERT_EQ(file.users.size(), 2U);
  EXPECT_EQ(file.users[1].name, "good");
  const std::vector<std::string> expected = {
      "line 2: the user \"app\" stands here twice",
      "line 3: unknown field \"sender\"",
      "line 4: \"nobody\" is no sender: write *, a@b.example, @b.example or @.b.example",
      "line 5: \"lots\" is no rate: write it as 2000/h",
      "line 6: \"password\" is not a crypt(5) hash; set it by `holdfast user passwd`",
      "line 7: \"suspended\" takes no value",
      "line 8: \"scram\" is not ITERATIONS,SALT,STOREDKEY,SERVERKEY; set it by `holdfast user passwd`",
      "line 9: the line does not begin with a user's name",
  };
  EXPECT_EQ(file.errors, expected);
}

TEST(UsersFile, AHashVerifiesItsOwnPasswordOnly) {
  const auto made = hash_password("correct horse", 1);
  ASSERT_TRUE(made);
  EXPECT_TRUE(looks_like_hash(*made)) << *made;
  EXPECT_TRUE(made->starts_with("$y$"));
  EXPECT_TRUE(verify_password(*made, "correct horse"));
  EXPECT_FALSE(verify_password(*made, "correct horsf"));
  EXPECT_FALSE(verify_password(*made, ""));
  EXPECT_FALSE(verify_password("", "correct horse"));
  EXPECT_FALSE(verify_password("*0", "correct horse"));
  EXPECT_FALSE(verify_password("correct horse", "correct horse"));
  EXPECT_NE(hash_password("correct horse", 1), made) << "the salt is fresh";
}

TEST(UsersFile, RefusesPasswordsThatCryptWouldCut) {
  EXPECT_FALSE(hash_password(""));
  EXPECT_FALSE(hash_password(std::string(600, 'x')));
  EXPECT_FALSE(hash_password(std::string("a\0b", 3)));
  EXPECT_FALSE(make_scram(""));
  EXPECT_FALSE(make_scram("pencil", 1000)) << "RFC 7677: at least 4096 iterations";
}

TEST(UsersFile, PasswordsAreThoseOfSaslprep) {
  // RFC 4013 section 3: a soft hyphen is mapped to nothing, ª to a, non-ASCII space to space.
  EXPECT_EQ(prepare_password("I\u00adX").text(), "IX");
  EXPECT_EQ(prepare_password("\u00aa").text(), "a");
  const auto made = hash_password("I\u00adX", 1);
  EXPECT_TRUE(verify_password(*made, "IX"));
}

// RFC 7677 section 3: user "user", password "pencil". StoredKey and ServerKey follow from its example's proof
// and signature, which are checked here.
TEST(UsersFile, ScramKeysAreThoseOfRfc7677) {
  const unsigned char salt[] = {0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e,
                                0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81};
  const auto keys =
      derive_scram("pencil", std::string_view(reinterpret_cast<const char*>(salt), sizeof salt), 4096);
  ASSERT_TRUE(keys);
  EXPECT_EQ(keys->salt, "W22ZaJ0SNY7soEsUEjb6gQ==");
  EXPECT_EQ(keys->stored_key, "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=");
  EXPECT_EQ(keys->server_key, "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
}

TEST(UsersFile, SenderPatternsAreAddressesOrDomains) {
  for (const char* good : {"*", "a@b.example", "@b.example", "@.b.example"})
    EXPECT_TRUE(is_sender_pattern(good)) << good;
  for (const char* bad : {"", "a", "@", "a@", "@.", "a@.b", "a b@c", "a,b@c", "*@b.example"})
    EXPECT_FALSE(is_sender_pattern(bad)) << bad;
}

}  // namespace
}  // namespace holdfast
