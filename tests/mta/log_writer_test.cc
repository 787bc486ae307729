#include "mta/log_writer.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "tests/config/loaded_text.h"

namespace holdfast {
namespace {

using testing::HasSubstr;
using testing::Not;

class Pipe {
 public:
  Pipe() {
    if (pipe2(ends_, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
  }
  ~Pipe() {
    ::close(ends_[0]);
    close_write();
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  int write_end() const { return ends_[1]; }
  void close_write() {
    if (ends_[1] >= 0) ::close(ends_[1]);
    ends_[1] = -1;
  }
  // Everything until the write end is closed.
  std::string read_all() {
    std::string out;
    char buffer[65536];
    for (ssize_t got; (got = ::read(ends_[0], buffer, sizeof buffer)) > 0;)
      out.append(buffer, static_cast<std::size_t>(got));
    return out;
  }

 private:
  int ends_[2] = {-1, -1};
};

std::size_t lines_with(const std::string& text, const std::string& what) {
  std::size_t count = 0;
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; ++at) ++count;
  return count;
}

LogSettings settings(LogLevel level, LogFormat format = LogFormat::automatic) {
  LogSettings out;
  out.level = level;
  out.format = format;
  return out;
}

TEST(LogWriter, WritesJsonWhereNoTerminalIs) {
  Pipe pipe;
  const auto clock = make_system_clock();
  {
    LogWriter log(settings(LogLevel::info), *clock, pipe.write_end(), "key");
    log.event("accepted", Fields().add("msg", "01H"));
    log.info("hello");
    log.debug("not at this level");
  }
  pipe.close_write();
  const std::string text = pipe.read_all();
  EXPECT_THAT(text, HasSubstr("\"event\":\"accepted\",\"schema\":1,\"msg\":\"01H\"}\n{\"ts\":"));
  EXPECT_THAT(text, HasSubstr("\"level\":\"info\",\"text\":\"hello\"}\n"));
  EXPECT_THAT(text, Not(HasSubstr("not at this level")));
}

TEST(LogWriter, ChangesLevelFormatAndAddressesAtAReload) {
  Pipe pipe;
  const auto clock = make_system_clock();
  {
    LogWriter log(settings(LogLevel::error), *clock, pipe.write_end(), "key");
    log.warning("before");
    LogSettings next = settings(LogLevel::debug, LogFormat::text);
    next.addresses = LogAddresses::masked;
    log.configure(next);
    EXPECT_TRUE(log.enabled(LogLevel::debug));
    log.debug("after");
    log.event("delivered", Fields().add_address("to", "alice@a.example"));
  }
  pipe.close_write();
  const std::string text = pipe.read_all();
  EXPECT_THAT(text, Not(HasSubstr("before")));
  EXPECT_THAT(text, HasSubstr(" debug: after\n"));
  EXPECT_THAT(text, HasSubstr(" delivered to=a***@a.example\n"));
}

// The pipe holds 64 KiB and nobody reads: the queue fills, and the thread that has an event to tell waits.
TEST(LogWriter, DropsDiagnosticsButNeverEventsWhenTheReaderStalls) {
  Pipe pipe;
  const auto clock = make_system_clock();
  constexpr int events = 5000;
  const std::string padding(200, 'x');
  std::thread writer([&] {
    LogWriter log(settings(LogLevel::info), *clock, pipe.write_end(), "key", 64);
    for (int i = 0; i < events; ++i) {
      log.event("delivered", Fields().add("n", i).add("pad", padding));
      log.info("chatter " + padding);
    }
  });
  std::string text;
  std::thread reader([&] { text = pipe.read_all(); });
  writer.join();
  pipe.close_write();
  reader.join();
  EXPECT_EQ(lines_with(text, "\"event\":\"delivered\""), static_cast<std::size_t>(events));
  for (int i = 0; i < events; i += 499) EXPECT_THAT(text, HasSubstr("\"n\":" + std::to_string(i) + ","));
  const auto told = lines_with(text, "chatter");
  EXPECT_LE(told, static_cast<std::size_t>(events));
  if (told < events) {
    EXPECT_THAT(text, HasSubstr("\"dropped\":"));
  }
}

TEST(LogWriter, DiagnosticsDoNotWaitForAStalledReader) {
  Pipe pipe;
  const auto clock = make_system_clock();
  std::thread reader;
  std::string text;
  {
    LogWriter log(settings(LogLevel::info), *clock, pipe.write_end(), "key", 64);
    // Far more than queue and pipe hold, with nobody reading yet: this must come back.
    for (int i = 0; i < 5000; ++i) log.info(std::string(200, 'y'));
    reader = std::thread([&] { text = pipe.read_all(); });
    log.event("delivered", Fields());
  }
  pipe.close_write();
  reader.join();
  EXPECT_LT(lines_with(text, "yyyy\""), 5000U);
  EXPECT_EQ(lines_with(text, "\"event\":\"delivered\""), 1U);
}

TEST(LogWriter, AnEndOfTheReaderIsNoEndOfTheRelay) {
  const auto clock = make_system_clock();
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  ::close(ends[0]);
  const auto before = std::signal(SIGPIPE, SIG_IGN);
  {
    LogWriter log(settings(LogLevel::info), *clock, ends[1], "key");
    log.event("delivered", Fields());
  }
  std::signal(SIGPIPE, before);
  ::close(ends[1]);
}

TEST(LogWriter, HidesAddressesInTheTextsOfDiagnosticsToo) {
  Pipe pipe;
  const auto clock = make_system_clock();
  {
    LogSettings masked = settings(LogLevel::info);
    masked.addresses = LogAddresses::masked;
    LogWriter log(masked, *clock, pipe.write_end(), "key");
    log.warning("no way to <bob@d.example>", Fields().add("why", "550 carol@e.example is unknown"));
  }
  pipe.close_write();
  EXPECT_THAT(pipe.read_all(), HasSubstr("\"text\":\"no way to <b***@d.example>\",\"why\":\"550 "
                                         "c***@e.example is unknown\"}\n"));
}

TEST(LogKey, StaysTheSameAcrossRestartsAndIsNobodyElses) {
  const ConfigDirectory dir;
  std::string why;
  const std::string first = load_or_make_log_key(dir.path() / "log.key", why);
  EXPECT_EQ(why, "");
  EXPECT_EQ(first.size(), 32U);
  EXPECT_EQ(load_or_make_log_key(dir.path() / "log.key", why), first);
  struct stat info {};
  ASSERT_EQ(::stat((dir.path() / "log.key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
}

TEST(LogKey, SaysWhyItCannotBeKept) {
  std::string why;
  EXPECT_EQ(load_or_make_log_key("/nonexistent/log.key", why).size(), 32U);
  EXPECT_THAT(why, HasSubstr("/nonexistent/log.key: No such file"));
}

}  // namespace
}  // namespace holdfast
