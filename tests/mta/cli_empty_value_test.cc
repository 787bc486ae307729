// The command line: an empty value, as an unset variable of a script leaves it behind, never widens a
// command.
#include <gmock/gmock.h>

#include "mta/admin_api.h"
#include "mta/cli/admin_client.h"
#include "tests/mta/cli_fixture.h"
#include "tests/mta/fake_relay.h"

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string counts_three(const std::string&) { return "200 {\"schema\":1,\"count\":3}\n"; }

TEST_F(Cli, AnEmptyQueueIdChangesNothing) {
  const FakeRelay relay(socket(), counts_three);
  for (const char* change : {"retry", "hold", "release", "bounce", "remove"}) {
    EXPECT_EQ(run({"queue", change, "", "--yes"}).code, 64) << change;
    EXPECT_EQ(run({"queue", change, "01A", "", "--yes"}).code, 64) << change;
    EXPECT_EQ(run({"queue", change, "01A&to=x", "--yes"}).code, 64) << change;
  }
  EXPECT_THAT(relay.asked(), IsEmpty());
}

TEST_F(Cli, AnEmptyFilterIsRefusedAlsoBesideAnother) {
  const FakeRelay relay(socket(), counts_three);
  for (const char* filter :
       {"--to", "--from", "--user", "--domain", "--older", "--newer", "--error", "--state", "--limit"}) {
    const Ran ran = run({"queue", "remove", "--from", "a@b.example", filter, "", "--yes"});
    EXPECT_EQ(ran.code, 64) << filter;
    EXPECT_THAT(ran.err, HasSubstr(filter)) << "the one that is empty is named";
    EXPECT_EQ(run({"queue", "remove", "--all", filter, "", "--yes"}).code, 64) << filter;
    EXPECT_EQ(run({"queue", "remove", "--all", filter + std::string("="), "--yes"}).code, 64) << filter;
  }
  EXPECT_THAT(relay.asked(), IsEmpty());
}

TEST_F(Cli, NoCommandTakesAnEmptyValueForOneThatWasLeftOut) {
  const FakeRelay relay(socket(), counts_three);
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"sts", "flush", ""},
                                             {"sts", "show", ""},
                                             {"trace", ""},
                                             {"tlsrpt", "preview", "--domain", ""},
                                             {"user", "suspend", "", "--hold"},
                                             {"user", "add", "app", "--sender", "*", "--messages", ""},
                                             {"dkim", "keygen", ""},
                                             {"destination", "pause", ""},
                                             {"queue", "retry", "--all", "--socket", ""}})
    EXPECT_EQ(run(words, "secret\n").code, 64) << testing::PrintToString(words);
  EXPECT_EQ(run_bare({"queue", "retry", "--all", "-c", ""}).code, 64);
  EXPECT_THAT(relay.asked(), IsEmpty());
}

TEST_F(Cli, EverythingIsAskedForInSoManyWords) {
  const FakeRelay relay(socket(), counts_three);
  EXPECT_EQ(run({"queue", "retry", "--all", "--yes"}).code, 0);
  EXPECT_EQ(run({"queue", "retry", "--all", "--to", "d.example", "--yes"}).code, 0);
  EXPECT_EQ(run({"sts", "flush"}).out, "flush: 3 policies\n");
  EXPECT_EQ(run({"sts", "flush", "d.example"}).code, 0);
  EXPECT_THAT(relay.asked(),
              ElementsAre("POST /v1/queue/retry?all=1&dry=1", "POST /v1/queue/retry?all=1",
                          "POST /v1/queue/retry?to=d.example&dry=1", "POST /v1/queue/retry?to=d.example",
                          "POST /v1/sts/flush?all=1", "POST /v1/sts/flush?domain=d.example"));
}

TEST(AdminClient, LeavesNoValueOutByItself) {
  EXPECT_EQ(request_target("/v1/queue", {{"msg", ""}, {"user", "app"}}), "/v1/queue?msg=&user=app");
  EXPECT_EQ(request_target("/v1/queue", given({{"to", ""}, {"user", "app"}})), "/v1/queue?user=app");
}

TEST(PoliciesToForget, AreOneOrInSoManyWordsAll) {
  const auto asked = [](std::map<std::string, std::string> query) {
    AdminRequest request;
    request.query = std::move(query);
    return policies_to_forget(request);
  };
  ASSERT_TRUE(asked({{"domain", "D.example"}}));
  EXPECT_EQ(asked({{"domain", "D.example"}}).value()->text(), "d.example");
  ASSERT_TRUE(asked({{"all", "1"}}));
  EXPECT_FALSE(asked({{"all", "1"}}).value());
  EXPECT_FALSE(asked({}));
  EXPECT_FALSE(asked({{"domain", ""}}));
  EXPECT_FALSE(asked({{"domain", ""}, {"all", "1"}}));
  EXPECT_FALSE(asked({{"domian", "d.example"}}));
  EXPECT_FALSE(asked({{"all", ""}}));
}

}  // namespace
}  // namespace holdfast
