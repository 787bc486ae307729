// The command line: DKIM keys.
#include <gmock/gmock.h>

#include "tests/mta/cli_fixture.h"

namespace holdfast {
namespace {

using testing::HasSubstr;

TEST_F(Cli, DkimKeysAreMadeShownAndKept) {
  const Ran made = run({"dkim", "keygen", "one.example", "two.example"});
  EXPECT_EQ(made.code, 0) << made.err;
  EXPECT_THAT(made.out, HasSubstr("holdfast._domainkey.one.example. IN TXT ( \"v=DKIM1; k=rsa; p="));
  EXPECT_THAT(made.err, HasSubstr("dkim.sign is \"off\""));
  const auto file = dir_.path() / "data/dkim/one.example/holdfast.pem";
  EXPECT_EQ(std::filesystem::status(file).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  const Ran again = run({"dkim", "keygen", "one.example"});
  EXPECT_EQ(again.code, 1) << "nothing was made";
  EXPECT_THAT(made.out, HasSubstr(again.out)) << "the key stays as it is";
  const Ran fresh = run({"dkim", "keygen", "--selector", "next", "--algorithm", "ed25519"});
  EXPECT_EQ(fresh.code, 0) << fresh.err;
  EXPECT_THAT(fresh.out, HasSubstr("next._domainkey.one.example. IN TXT ( \"v=DKIM1; k=ed25519; p="));
  EXPECT_THAT(fresh.out, HasSubstr("next._domainkey.two.example."));
  EXPECT_THAT(fresh.err, HasSubstr("set dkim.selector = \"next\""));
  const Ran all = run({"dkim", "txt"});
  EXPECT_EQ(std::count(all.out.begin(), all.out.end(), '\n'), 4);
  EXPECT_THAT(run({"dkim", "txt", "one.example", "--selector", "next", "--json"}).out,
              HasSubstr("\"domain\":\"one.example\",\"selector\":\"next\",\"in_use\":false"));
  EXPECT_EQ(run({"dkim", "txt", "three.example"}).code, 1);
  EXPECT_EQ(run({"dkim", "keygen", "../etc"}).code, 64);
  EXPECT_EQ(run({"dkim", "keygen", "one.example", "--selector", "../x"}).code, 64);
  EXPECT_EQ(run({"dkim", "keygen", "one.example", "--algorithm", "dsa"}).code, 64);
}

TEST_F(Cli, RootPreparesKeysForTheRelaysUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give files away";
  ASSERT_EQ(::chown((dir_.path() / "data").c_str(), 10001, 10001), 0);
  ASSERT_EQ(run({"dkim", "keygen", "one.example"}).code, 0);
  for (const char* made : {"data/dkim", "data/dkim/one.example", "data/dkim/one.example/holdfast.pem"}) {
    struct stat info {};
    ASSERT_EQ(::stat((dir_.path() / made).c_str(), &info), 0);
    EXPECT_EQ(info.st_uid, 10001U) << made;
  }
}

}  // namespace
}  // namespace holdfast
