// The command line itself, the configuration's commands, and what is made from the tree of commands. The
// queue, users, keys and what a running relay answers are in the cli_*_test.cc beside it.
#include <gmock/gmock.h>

#include <sstream>

#include "config/reference.h"
#include "config/users_file.h"
#include "tests/mta/cli_fixture.h"

namespace holdfast {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

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

}  // namespace
}  // namespace holdfast
