#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <sstream>

#include "config/reference.h"
#include "config/users_file.h"
#include "mta/cli/admin_client.h"
#include "mta/cli/common.h"
#include "mta/cli/table.h"
#include "tests/config/loaded_text.h"
#include "tests/mta/fake_relay.h"
#include "tests/mta/run_holdfast.h"

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class Cli : public testing::Test {
 protected:
  Cli() {
    dir_.write("holdfast.toml", "hostname = \"relay.example.com\"\ndata_dir = \"data\"\n");
    std::filesystem::create_directory(dir_.path() / "data");
  }
  // With -c behind the command's words.
  Ran run(std::vector<std::string> arguments, const std::string& input = "",
          const std::map<std::string, std::string>& environment = {}) {
    arguments.push_back("-c");
    arguments.push_back(dir_.file().string());
    return run_holdfast(dir_.path(), arguments, input, environment);
  }
  Ran run_bare(std::vector<std::string> arguments) { return run_holdfast(dir_.path(), std::move(arguments)); }
  std::filesystem::path socket() const { return dir_.path() / "data/admin.sock"; }
  std::string users() const {
    std::ifstream in(dir_.path() / "data/users");
    return {std::istreambuf_iterator<char>(in), {}};
  }

  ConfigDirectory dir_;
};

TEST_F(Cli, VersionAndHelpAreAnswers) {
  EXPECT_THAT(run_bare({"version"}).out, testing::MatchesRegex("holdfast [0-9.]+\n"));
  EXPECT_EQ(run_bare({"version"}).code, 0);
  EXPECT_EQ(run_bare({"--help"}).code, 0);
  EXPECT_THAT(run_bare({"queue", "--help"}).out, HasSubstr("one line per recipient"));
}

TEST_F(Cli, AWrongCommandLineIs64) {
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{},
                                             {"nonsense"},
                                             {"queue"},
                                             {"queue", "nonsense"},
                                             {"queue", "list", "--nonsense"},
                                             {"queue", "show"},
                                             {"version", "extra"},
                                             {"user", "add", "app"},
                                             {"tlsrpt", "preview", "--day"}})
    EXPECT_EQ(run_bare(words).code, 64) << testing::PrintToString(words);
  EXPECT_EQ(run({"tlsrpt", "preview", "--day", "yesterday"}).code, 64);
  EXPECT_EQ(run({"queue", "show", "../status"}).code, 64);
  EXPECT_EQ(run({"queue", "remove"}).code, 64) << "a bulk change without a filter needs --all";
}

TEST_F(Cli, AMisspeltCommandIsNamed) {
  EXPECT_THAT(run_bare({"queue", "lsit"}).err,
              HasSubstr("there is no command \"lsit\"; did you mean \"list\"?"));
  EXPECT_THAT(run_bare({"quue"}).err, HasSubstr("did you mean \"queue\"?"));
}

TEST_F(Cli, ASenderOptionTakesOneValueAndLeavesTheName) {
  EXPECT_EQ(run({"user", "add", "--sender", "@example.com", "app"}, "x\n").code, 0);
  EXPECT_EQ(parse_users(users()).users.at(0).name, "app");
}

TEST_F(Cli, ConfigCheckSaysYesOrNamesEveryMistake) {
  EXPECT_EQ(run({"config", "check"}).code, 0);
  EXPECT_EQ(run({"config", "check"}).out, dir_.file().string() + " is sound\n");
  dir_.write("holdfast.toml", "[sts]\nmode = \"on\"\nmodus = 1\n");
  const Ran ran = run({"config", "check"});
  EXPECT_EQ(ran.code, 78);
  EXPECT_THAT(ran.err,
              HasSubstr("holdfast.toml:2:1: sts.mode: \"on\" is not one of enforce, observe, off\n"));
  EXPECT_THAT(ran.err, HasSubstr("holdfast.toml:3:1: sts.modus: no such key; did you mean \"mode\"?\n"));
  EXPECT_THAT(ran.err, HasSubstr("hostname: is missing"));
  EXPECT_THAT(run({"config", "check", "--json"}).out,
              HasSubstr("{\"schema\":1,\"severity\":\"error\",\"source\":"));
}

TEST_F(Cli, EveryCommandThatReadsTheConfigurationExits78WhenItIsFaulty) {
  dir_.write("holdfast.toml", "nonsense\n");
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{{"config", "check"},
                                                                                     {"config", "show"},
                                                                                     {"queue", "list"},
                                                                                     {"sts", "show"},
                                                                                     {"status"},
                                                                                     {"health"},
                                                                                     {"reload"},
                                                                                     {"user", "list"},
                                                                                     {"destination", "list"},
                                                                                     {"tlsrpt", "preview"}})
    EXPECT_EQ(run(words).code, 78) << testing::PrintToString(words);
}

TEST_F(Cli, ConfigShowIsLoadableAndNamesOrigins) {
  const Ran ran = run({"config", "show", "--origin"}, "", {{"HOLDFAST_DELIVERY__PORT", "2525"}});
  EXPECT_EQ(ran.code, 0);
  EXPECT_THAT(ran.out, testing::ContainsRegex("port = 2525 +# environment HOLDFAST_DELIVERY__PORT\n"));
  EXPECT_THAT(dir_.load(ran.out).errors, IsEmpty());
}

TEST_F(Cli, ConfigReferenceNeedsNoConfiguration) {
  EXPECT_EQ(run_bare({"config", "reference"}).out, reference());
  EXPECT_EQ(run_bare({"config", "reference", "--markdown"}).out, markdown_table());
}

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

TEST_F(Cli, QueueListIsTabSeparatedWhenPiped) {
  const FakeRelay relay(socket(), [](const std::string&) {
    return "200 "
           "{\"schema\":1,\"msg\":\"01A\",\"from\":\"a@b.example\",\"to\":\"c@d.example\",\"state\":"
           "\"deferred\","
           "\"attempts\":2,\"next\":\"2026-11-21T22:00:00Z\",\"reason\":\"450 \\u001b[2J\\ttry\\nlater\"}\n";
  });
  const Ran ran = run({"queue", "list", "--to", "c@d.example", "--state", "deferred", "--limit", "5"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.out,
            "01A\tdeferred\t2\t2026-11-21T22:00:00Z\ta@b.example\tc@d.example\t450 ?[2J?try?later\n");
  EXPECT_THAT(relay.asked(), ElementsAre("GET /v1/queue?to=c%40d.example&state=deferred&limit=5"));
}

TEST_F(Cli, JsonLinesComeVerbatim) {
  const std::string lines = "{\"schema\":1,\"msg\":\"01A\"}\n{\"schema\":1,\"msg\":\"01B\"}\n";
  const FakeRelay relay(socket(), [&](const std::string&) { return "200 " + lines; });
  EXPECT_EQ(run({"queue", "list", "--json"}).out, lines);
  EXPECT_EQ(run({"sts", "show", "--json"}).out, lines);
  EXPECT_EQ(run({"tlsrpt", "preview", "--day", "2026-11-20", "--domain", "d.example", "--json"}).out, lines);
  EXPECT_THAT(relay.asked().back(), "GET /v1/tlsrpt/preview?day=2026-11-20&domain=d.example");
}

TEST_F(Cli, AnEmptyQueueIsAYes) {
  const FakeRelay relay(socket(), [](const std::string&) { return "200 "; });
  EXPECT_EQ(run({"queue", "list"}).code, 0);
  EXPECT_EQ(run({"queue", "list"}).out, "");
}

TEST_F(Cli, QueueShowPrintsTheMessageOrSaysNo) {
  const FakeRelay relay(socket(), [](const std::string& line) {
    return line == "GET /v1/messages/01A"
               ? "200 {\"schema\":1,\"msg\":\"01A\",\"recipients\":[{\"to\":\"c@d.example\"}]}"
               : "404 {\"schema\":1,\"error\":\"no message 01B is queued or remembered\"}";
  });
  EXPECT_EQ(run({"queue", "show", "01A"}).out, "msg: 01A\nrecipients[0].to: c@d.example\n");
  const Ran none = run({"queue", "show", "01B"});
  EXPECT_EQ(none.code, 1);
  EXPECT_THAT(none.err, HasSubstr("no message 01B is queued or remembered"));
}

TEST_F(Cli, BulkChangesCountFirstAndWantAYes) {
  const FakeRelay relay(socket(), [](const std::string&) { return "200 {\"schema\":1,\"count\":3}\n"; });
  const Ran asked = run({"queue", "hold", "--to", "d.example"});
  EXPECT_EQ(asked.code, 1);
  EXPECT_THAT(asked.err, HasSubstr("3 recipients match; repeat with --yes to hold them"));
  EXPECT_THAT(relay.asked(), ElementsAre("POST /v1/queue/hold?to=d.example&dry=1"));
  const Ran done = run({"queue", "hold", "--to", "d.example", "--yes"});
  EXPECT_EQ(done.code, 0);
  EXPECT_EQ(done.out, "hold: 3 recipients\n");
  EXPECT_EQ(relay.asked().back(), "POST /v1/queue/hold?to=d.example");
}

TEST_F(Cli, AChangeOfIdsAsksForEachAndOneOfNothingIsANo) {
  const FakeRelay relay(socket(), [](const std::string& line) {
    return line.find("01C") != std::string::npos ? "200 {\"count\":0}" : "200 {\"count\":1}";
  });
  EXPECT_EQ(run({"queue", "remove", "01A", "01B", "--yes"}).out, "remove: 2 recipients\n");
  EXPECT_EQ(run({"queue", "remove", "01C", "--yes"}).code, 1);
}

TEST_F(Cli, ABounceTellsWhatWasLeftAlone) {
  const FakeRelay relay(socket(), [](const std::string&) { return "200 {\"count\":2,\"active\":1}"; });
  const Ran ran = run({"queue", "bounce", "--domain", "d.example", "--reason", "closed", "--yes"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, "bounce: 2 recipients\n");
  EXPECT_THAT(ran.err, HasSubstr("1 recipient was being tried"));
  EXPECT_THAT(relay.asked(), ElementsAre("POST /v1/queue/bounce?domain=d.example&dry=1&reason=closed",
                                         "POST /v1/queue/bounce?domain=d.example&reason=closed"));
  EXPECT_EQ(run({"queue", "bounce", "--all", "--yes", "--json"}).out,
            "{\"schema\":1,\"change\":\"bounce\",\"count\":2,\"active\":1}\n");
}

TEST_F(Cli, WhatIsBeingTriedCanOnlyBeBouncedLater) {
  const FakeRelay relay(socket(), [](const std::string&) { return "200 {\"count\":0,\"active\":3}"; });
  EXPECT_EQ(run({"queue", "bounce", "--all", "--yes"}).code, 75);
}

TEST_F(Cli, QueueSummaryNamesItsColumnByWhatItCounts) {
  const FakeRelay relay(socket(), [](const std::string&) {
    return "200 {\"schema\":1,\"by\":\"error\",\"key\":\"450 later\",\"recipients\":3,\"messages\":2,"
           "\"bytes\":10,\"oldest\":\"2026-11-21T22:00:00Z\"}\n";
  });
  EXPECT_EQ(run({"queue", "summary", "--by", "error", "--newer", "2h"}).out,
            "3\t2\t10\t2026-11-21T22:00:00Z\t450 later\n");
  EXPECT_EQ(relay.asked().back(), "GET /v1/queue/summary?newer=2h&by=error");
}

TEST_F(Cli, ExportWritesATarThatTarReads) {
  if (!std::filesystem::exists("/bin/tar")) GTEST_SKIP() << "tar is missing";
  const std::string content = "Subject: x\r\n\r\n" + std::string(1000, 'b') + "\r\n";
  const FakeRelay relay(socket(), [&](const std::string& line) -> std::string {
    if (line.starts_with("GET /v1/queue")) {
      return "200 {\"msg\":\"01JD0000000000000000000000\",\"to\":\"a@b.example\"}\n"
             "{\"msg\":\"01JD0000000000000000000000\",\"to\":\"c@b.example\"}\n"
             "{\"msg\":\"01JD0000000000000000000001\",\"to\":\"a@b.example\"}\n"
             "{\"msg\":\"01JD0000000000000000000002\",\"to\":\"a@b.example\"}\n";
    }
    if (line.ends_with("2/content")) return "503 {\"error\":\"wrong checksum\"}";
    if (line.ends_with("1")) return "404 {\"error\":\"gone\"}";
    return "200 " + (line.ends_with("/content") ? content : std::string("{\"from\":\"me\"}\n"));
  });
  const auto archive = dir_.path() / "queue.tar";
  const Ran ran = run({"queue", "export", "--user", "app", "--output", archive.string()});
  EXPECT_EQ(ran.code, 65) << "one was damaged";
  EXPECT_THAT(ran.err, HasSubstr("the content of 01JD0000000000000000000002 cannot be read"));
  EXPECT_THAT(ran.err, HasSubstr("exported 1 message\n"));
  EXPECT_EQ(relay.asked().front(), "GET /v1/queue?user=app");
  const Ran listed = run_holdfast(dir_.path(), {"tf", archive.string()}, "", {}, "/bin/tar");
  EXPECT_EQ(listed.code, 0) << listed.err;
  EXPECT_EQ(
      listed.out,
      "holdfast-queue/01JD0000000000000000000000.json\nholdfast-queue/01JD0000000000000000000000.eml\n");
  const Ran one =
      run_holdfast(dir_.path(), {"xOf", archive.string(), "holdfast-queue/01JD0000000000000000000000.eml"},
                   "", {}, "/bin/tar");
  EXPECT_EQ(one.out, content);
  EXPECT_EQ(run({"queue", "export", "--output", archive.string()}).code, 75) << "nothing is overwritten";
}

TEST_F(Cli, TraceListsOrTellsTheTimeline) {
  const FakeRelay relay(socket(), [](const std::string& line) -> std::string {
    if (line.starts_with("GET /v1/history")) {
      return line.find("nobody") != std::string::npos
                 ? "200 "
                 : "200 {\"msg\":\"01A\",\"accepted\":\"T\",\"state\":\"bounced\",\"attempts\":1,"
                   "\"from\":\"a@b\",\"to\":\"c@d\",\"reason\":\"550 no\"}\n";
    }
    return "200 {\"msg\":\"01A\",\"from\":\"a@b\",\"size\":7,\"accepted\":\"T0\",\"origin\":\"submission\","
           "\"recipients\":[{\"to\":\"c@d\",\"state\":\"bounced\",\"attempts\":1,\"reason\":\"550 no\"}],"
           "\"history\":[{\"at\":\"T1\",\"event\":\"attempt\",\"detail\":{\"mx\":\"mx.d\",\"ip\":\"192.0.2."
           "1\","
           "\"tls\":{\"version\":\"TLSv1.3\",\"cipher\":\"X\",\"policy\":\"sts\",\"mode\":\"enforce\","
           "\"result\":"
           "\"certificate-expired\"},\"chain\":\"CN=mx.d, issued by CN=CA\\n\",\"stage\":\"handshake\","
           "\"reply\":\"expired\",\"transcript\":\"S: 220 mx\\nC: EHLO r\\n\"}}]}\n";
  });
  EXPECT_EQ(run({"trace", "--error", "550", "--domain", "d.example"}).out,
            "01A\tT\tbounced\t1\ta@b\tc@d\t550 no\n");
  EXPECT_EQ(relay.asked().back(), "GET /v1/history?domain=d.example&error=550");
  EXPECT_EQ(run({"trace", "--from", "nobody"}).code, 1);
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"trace", "01A"}, {"trace", "--message", "01A"}}) {
    const Ran ran = run(words);
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.out,
              "01A  from a@b, 7 octets\n"
              "  to c@d  bounced, 1 attempt: 550 no\n"
              "\n"
              "T0  accepted  by submission\n"
              "T1  attempt  mx.d [192.0.2.1]\n"
              "    TLSv1.3 X, policy sts (enforce), certificate-expired\n"
              "    certificate: CN=mx.d, issued by CN=CA\n"
              "    handshake: expired\n"
              "    | S: 220 mx\n"
              "    | C: EHLO r\n");
  }
  EXPECT_EQ(run({"trace", "../x"}).code, 64);
}

TEST_F(Cli, SendTestFollowsTheMessageToItsEnd) {
  std::atomic<int> looked = 0;
  std::atomic<const char*> end = "delivered";
  const FakeRelay relay(socket(), [&](const std::string& line) -> std::string {
    if (line.starts_with("POST /v1/send-test")) return "200 {\"schema\":1,\"msg\":\"01A\"}";
    const bool over = ++looked > 2;
    const std::string state = over ? end.load() : "deferred";
    return "200 {\"msg\":\"01A\",\"recipients\":[{\"state\":\"" + state +
           "\"}],\"history\":[{\"at\":\"T1\",\"event\":\"deferred\",\"detail\":{}}" +
           (over ? ",{\"at\":\"T2\",\"event\":\"" + state + "\",\"detail\":{}}" : "") + "]}";
  });
  EXPECT_EQ(run({"send-test", "a@b.example"}).out, "queued as 01A; see holdfast trace 01A\n");
  EXPECT_EQ(relay.asked().back(), "POST /v1/send-test?to=a%40b.example");
  const Ran good = run({"send-test", "a@b.example", "--wait"});
  EXPECT_EQ(good.code, 0) << good.err;
  EXPECT_EQ(good.out, "queued as 01A\nT1  deferred\nT2  delivered\n");
  end = "bounced";
  EXPECT_EQ(run({"send-test", "a@b.example", "--wait"}).code, 1);
  looked = -1000;
  EXPECT_EQ(run({"send-test", "a@b.example", "--wait", "--timeout", "1"}).code, 75);
}

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

TEST_F(Cli, EveryCommandOfTheContractIsThere) {
  const std::string man = run_bare({"man"}).out;
  for (const char* command : {"serve",
                              "init",
                              "config check",
                              "config show",
                              "config reference",
                              "health",
                              "status",
                              "reload",
                              "selftest",
                              "queue list",
                              "queue show",
                              "queue summary",
                              "queue retry",
                              "queue hold",
                              "queue release",
                              "queue bounce",
                              "queue remove",
                              "queue export",
                              "destination list",
                              "destination show",
                              "destination pause",
                              "destination resume",
                              "check",
                              "sts show",
                              "sts refresh",
                              "sts flush",
                              "sts lint",
                              "sts generate",
                              "tlsrpt preview",
                              "tlsrpt status",
                              "tlsrpt send",
                              "tlsrpt read",
                              "dkim keygen",
                              "dkim txt",
                              "dkim check",
                              "dns check",
                              "user add",
                              "user list",
                              "user passwd",
                              "user remove",
                              "user suspend",
                              "send-test",
                              "trace",
                              "completion",
                              "man",
                              "version"}) {
    std::string name = command;
    for (std::size_t at = 0; (at = name.find('-', at)) != std::string::npos; at += 2) name.insert(at, "\\");
    EXPECT_THAT(man, HasSubstr(".SS \"\\fB" + name + "\\fR")) << command;
    std::vector<std::string> words;
    std::istringstream text(command);
    for (std::string word; text >> word;) words.push_back(word);
    words.push_back("--help");
    EXPECT_EQ(run_bare(words).code, 0) << command;
  }
  for (const char* filter : {"--to", "--from", "--user", "--older", "--error", "--state"})
    for (const char* command : {"list", "summary", "retry", "hold", "release", "bounce", "remove", "export"})
      EXPECT_THAT(run_bare({"queue", command, "--help"}).out, HasSubstr(filter)) << command;
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

TEST_F(Cli, CompletionsAndManualKnowEveryCommand) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const Ran ran = run_bare({"completion", shell});
    EXPECT_EQ(ran.code, 0);
    for (const char* word : {"queue", "refresh", "preview", "suspend"})
      EXPECT_THAT(ran.out, HasSubstr(word)) << shell;
  }
  EXPECT_EQ(run_bare({"completion", "tcsh"}).code, 64);
  const Ran man = run_bare({"man"});
  EXPECT_THAT(man.out, HasSubstr(".SS \"\\fBuser add\\fR \\fINAME\\fR\""));
  EXPECT_THAT(man.out, HasSubstr("\\fB\\-c\\fR, \\fB\\-\\-config\\fR \\fIFILE\\fR"));
}

TEST(Printable, TakesTheTerminalOutOfAPeersHands) {
  EXPECT_EQ(printable("a\x1b[2J\r\n\tb\x7f"), "a?[2J???b?");
  EXPECT_EQ(printable("caf\u00e9 \u202egnp.exe\u2066 \u009b"), "caf\u00e9 ?gnp.exe? ?");
}

TEST(Table, AlignsOnATerminalByWhatIsSeen) {
  Table table({"NAME", "STATE"});
  table.add({"caf\u00e9", "on"});
  table.add({"long name", "off"});
  EXPECT_EQ(table.text(true), "NAME       STATE\ncaf\u00e9       on\nlong name  off\n");
  EXPECT_EQ(table.text(false), "caf\u00e9\ton\nlong name\toff\n");
}

TEST(AdminClient, EncodesItsQueries) {
  EXPECT_EQ(request_target("/v1/queue", {{"to", "a b&c=d@e"}, {"from", ""}, {"user", "\xc3\xa9"}}),
            "/v1/queue?to=a%20b%26c%3Dd%40e&user=%C3%A9");
}

}  // namespace
}  // namespace holdfast
