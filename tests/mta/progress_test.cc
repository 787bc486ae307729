#include "mta/cli/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>

#include "tests/config/loaded_text.h"
#include "tests/mta/fake_relay.h"
#include "tests/mta/run_holdfast.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

TEST(ProgressText, FillsTheBarAsFarAsTheWorkIs) {
  EXPECT_EQ(progress_text("exported", 0, 10, {}, 99), "[------------------------] 0 of 10  exported");
  EXPECT_EQ(progress_text("exported", 5, 10, {}, 99), "[############------------] 5 of 10  exported");
  EXPECT_EQ(progress_text("exported", 10, 10, {}, 99), "[########################] 10 of 10  exported");
  EXPECT_EQ(progress_text("exported", 11, 10, {}, 99), "[########################] 10 of 10  exported");
}

TEST(ProgressText, LetsAMarkWanderWhereNobodyKnowsHowFarItIs) {
  EXPECT_EQ(progress_text("waiting", 0, 0, milliseconds(0), 99), "[####--------------------] 0 s  waiting");
  EXPECT_EQ(progress_text("waiting", 0, 0, milliseconds(1000), 99),
            "[----------####----------] 1 s  waiting");
  EXPECT_EQ(progress_text("waiting", 0, 0, milliseconds(2000), 99),
            "[--------------------####] 2 s  waiting");
  EXPECT_EQ(progress_text("waiting", 0, 0, milliseconds(2100), 99),
            "[-------------------####-] 2 s  waiting");
}

TEST(ProgressText, StaysWithinTheTerminal) {
  EXPECT_EQ(progress_text("waiting", 0, 0, milliseconds(0), 10).size(), 10u);
}

// Commands of a relay that takes its time. Standard error is a terminal here, or a file.
class ProgressBar : public testing::Test {
 protected:
  ProgressBar() {
    dir_.write("holdfast.toml", "hostname = \"relay.example.com\"\ndata_dir = \"data\"\n");
    std::filesystem::create_directory(dir_.path() / "data");
    relay_ = std::make_unique<FakeRelay>(dir_.path() / "data/admin.sock", [this](const std::string& request) {
      if (slow_) std::this_thread::sleep_for(4 * Progress::kPatience);
      return exporting_ ? export_two(request) : "200 {\"schema\":1,\"count\":3,\"active\":0}";
    });
  }

  static std::string export_two(const std::string& request) {
    if (!request.starts_with("GET /v1/queue"))
      return request.ends_with("/content") ? "200 Subject: x\r\n\r\ny\r\n" : "200 {\"schema\":1}";
    return "200 {\"msg\":\"00000000000000000000000001\"}\n{\"msg\":\"00000000000000000000000002\"}\n";
  }

  // The words with -c; `out` is a file, `err` what the terminal got.
  Ran run_on_terminal(std::vector<std::string> words) {
    words.insert(words.begin(), HOLDFAST_BINARY);
    words.insert(words.end(), {"-c", dir_.file().string()});
    int ours = -1, theirs = -1;
    if (openpty(&ours, &theirs, nullptr, nullptr, nullptr) != 0) return {};
    const auto out = dir_.path() / ".out";
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out.c_str(), O_WRONLY | O_CREAT | O_TRUNC,
                                     0600);
    posix_spawn_file_actions_adddup2(&actions, theirs, STDERR_FILENO);
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    Ran ran;
    pid_t pid = 0;
    const int spawned = posix_spawn(&pid, HOLDFAST_BINARY, &actions, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    ::close(theirs);
    // Read until nobody has the other side any more.
    char buffer[4096];
    for (ssize_t got; spawned == 0 && (got = ::read(ours, buffer, sizeof buffer)) > 0;)
      ran.err.append(buffer, static_cast<std::size_t>(got));
    ::close(ours);
    int status = 0;
    if (spawned == 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status)) ran.code = WEXITSTATUS(status);
    std::ifstream in(out);
    ran.out.assign(std::istreambuf_iterator<char>(in), {});
    return ran;
  }
  Ran run_piped(std::vector<std::string> words) {
    words.insert(words.end(), {"-c", dir_.file().string()});
    return run_holdfast(dir_.path(), words);
  }

  ConfigDirectory dir_;
  std::atomic<bool> slow_{true}, exporting_{false};
  std::unique_ptr<FakeRelay> relay_;
};

const std::vector<std::string> kHoldAll = {"queue", "hold", "--all", "--yes"};

TEST_F(ProgressBar, IsDrawnOnATerminalAndErased) {
  const Ran ran = run_on_terminal(kHoldAll);
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, "hold: 3 recipients\n");
  EXPECT_THAT(ran.err, HasSubstr("####"));
  EXPECT_THAT(ran.err, HasSubstr("hold"));
  EXPECT_TRUE(ran.err.ends_with("\r\033[K")) << ran.err;
}

TEST_F(ProgressBar, IsNeverDrawnIntoAPipe) {
  const Ran ran = run_piped(kHoldAll);
  EXPECT_EQ(ran.out, "hold: 3 recipients\n");
  EXPECT_THAT(ran.err, IsEmpty());
}

TEST_F(ProgressBar, IsNotDrawnWhereJsonWasAskedFor) {
  auto words = kHoldAll;
  words.push_back("--json");
  const Ran ran = run_on_terminal(words);
  EXPECT_THAT(ran.out, HasSubstr("\"count\":3"));
  EXPECT_THAT(ran.err, IsEmpty());
}

TEST_F(ProgressBar, LeavesQuickCommandsAlone) {
  slow_ = false;
  const Ran ran = run_on_terminal({"queue", "hold", "00000000000000000000000000", "--yes"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.err, Not(HasSubstr("####")));
}

TEST_F(ProgressBar, CountsTheMessagesOfAnExport) {
  exporting_ = true;
  const Ran ran = run_on_terminal({"queue", "export"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr("listing the queue"));
  EXPECT_THAT(ran.err, HasSubstr("1 of 2  messages exported"));
  EXPECT_TRUE(ran.err.ends_with("\r\033[Kholdfast: exported 2 messages\r\n")) << ran.err;
}

}  // namespace
}  // namespace holdfast
