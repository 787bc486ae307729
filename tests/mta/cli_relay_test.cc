// The command line: what a relay answers, or that there is none, as text and as an exit code.
#include <gmock/gmock.h>

#include "tests/mta/cli_fixture.h"
#include "tests/mta/fake_relay.h"

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST_F(Cli, ARelayThatDoesNotRunIs69) {
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"queue", "list"},
                                             {"queue", "show", "01ABC"},
                                             {"queue", "retry", "--all"},
                                             {"sts", "show"},
                                             {"sts", "refresh", "a.example"},
                                             {"tlsrpt", "preview"},
                                             {"health", "--ready"},
                                             {"status"},
                                             {"reload"},
                                             {"destination", "list"}}) {
    const Ran ran = run(words);
    EXPECT_EQ(ran.code, 69) << testing::PrintToString(words);
    EXPECT_THAT(ran.err, HasSubstr("the relay does not answer on " + socket().string() + ": No such file"));
  }
}

TEST_F(Cli, HealthTellsReadyFromNotReady) {
  const FakeRelay relay(socket(), [](const std::string& line) {
    return line == "GET /v1/health?ready=1"
               ? "503 {\"schema\":1,\"errors\":[\"the resolver does not answer\"]}"
               : "200 {\"schema\":1}";
  });
  EXPECT_EQ(run({"health"}).code, 0);
  const Ran ran = run({"health", "--ready"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.err, HasSubstr("the resolver does not answer"));
}

TEST_F(Cli, AFailedReloadSaysWhyAndIs78) {
  const FakeRelay relay(socket(), [](const std::string&) {
    return "409 {\"errors\":[\"holdfast.toml:3:1: x: no such key\"]}";
  });
  const Ran ran = run({"reload"});
  EXPECT_EQ(ran.code, 78);
  EXPECT_THAT(ran.err, HasSubstr("holdfast.toml:3:1: x: no such key"));
  EXPECT_THAT(ran.err, HasSubstr("nothing was changed"));
}

TEST_F(Cli, AReloadNamesTheKeysThatHoldAfterARestart) {
  std::atomic<const char*> answer = "200 {\"schema\":1,\"errors\":[],\"after_restart\":[]}\n";
  const FakeRelay relay(socket(), [&](const std::string&) { return answer.load(); });
  Ran ran = run({"reload"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.out, "reloaded\n");
  EXPECT_EQ(ran.err, "");
  answer = "200 {\"schema\":1,\"errors\":[],\"after_restart\":[\"data_dir\",\"listener\"]}\n";
  ran = run({"reload"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_THAT(ran.err, HasSubstr("hold after a restart only: data_dir, listener"));
}

TEST_F(Cli, OtherAnswersHaveTheirExitCodes) {
  std::atomic<const char*> answer = "";
  const FakeRelay relay(socket(), [&](const std::string&) { return answer.load(); });
  answer = "400 {\"error\":\"unknown filter\"}";
  EXPECT_EQ(run({"queue", "list"}).code, 64);
  answer = "403 not for you\n";
  EXPECT_EQ(run({"queue", "list"}).code, 77);
  answer = "503 {\"error\":\"the store fails\"}";
  EXPECT_EQ(run({"queue", "list"}).code, 75);
  answer = "200 <html>";
  EXPECT_EQ(run({"queue", "list"}).code, 65);
  answer = "500 ";
  EXPECT_THAT(run({"status"}).err, HasSubstr("HTTP status 500"));
}

TEST_F(Cli, TheSocketOptionNeedsNoConfiguration) {
  const auto elsewhere = dir_.path() / "other.sock";
  const FakeRelay relay(elsewhere, [](const std::string&) {
    return "200 {\"schema\":1,\"version\":\"0.1.0\",\"queue\":{\"messages\":2}}";
  });
  const Ran ran = run_bare({"status", "--socket", elsewhere.string()});
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.out, "version: 0.1.0\nqueue.messages: 2\n");
}

TEST_F(Cli, TlsrptPreviewSumsItsSessions) {
  const FakeRelay relay(socket(), [](const std::string&) {
    return "200 "
           "{\"schema\":1,\"domain\":\"d.example\",\"day\":\"2026-11-21\",\"targets\":[\"mailto:t@d."
           "example\"],\"report\":"
           "{\"policies\":[{\"summary\":{\"total-successful-session-count\":2,\"total-failure-session-"
           "count\":1}},"
           "{\"summary\":{\"total-successful-session-count\":3,\"total-failure-session-count\":0}}]}}\n";
  });
  EXPECT_EQ(run({"tlsrpt", "preview"}).out, "d.example\t2026-11-21\t5\t1\tmailto:t@d.example\n");
}

TEST_F(Cli, StsRefreshAsksForTheDomain) {
  const FakeRelay relay(socket(), [](const std::string&) {
    return "200 "
           "{\"schema\":1,\"domain\":\"d.example\",\"mode\":\"enforce\",\"mx\":[\"a\",\"*.b\"],\"id\":\"1\","
           "\"max_age\":60,"
           "\"fetched\":\"f\",\"expires\":\"e\",\"source\":\"https\"}\n";
  });
  EXPECT_EQ(run({"sts", "refresh", "d.example"}).out, "d.example\tenforce\ta, *.b\t1\t60\tf\te\thttps\n");
  EXPECT_THAT(relay.asked(), ElementsAre("POST /v1/sts/refresh?domain=d.example"));
}

}  // namespace
}  // namespace holdfast
