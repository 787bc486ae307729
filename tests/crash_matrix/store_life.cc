// tests/crash_matrix/store_life.cc — a life of the store as a program, and the judge of what it left.
//
//   store_life prepare DIR         makes an empty store
//   store_life live DIR            lives in it, and says on standard output which step begins and which is
//   done store_life live DIR count      the same, and says last how many calls changed or synced a
//                                  file, and how many of them wrote
//   store_life live DIR cut N [FLAGS]  at the N-th of them the file system is shut down as by a power cut
//                                  (FLAGS of the ioctl; 2 = without flushing its log), and the process dies
//   store_life live DIR short N    the N-th write writes half of its octets
//   store_life live DIR full N     it does, and from then on there is no room for any more
//   store_life check DIR           reads on standard input what was said, recovers twice, and says what is
//                                  wrong (exit 1)
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <iostream>
#include <optional>

#include "tests/crash_matrix/judge.h"
#include "tests/power_cut/disk_calls.h"

namespace holdfast {
namespace {

constexpr unsigned long kShutdown = 0x8004587d;  // EXT4_IOC_SHUTDOWN, XFS_IOC_GOINGDOWN

// Not write(2): that one is the store's, and run.py counts it.
void say(const std::string& line) {
  std::string text = line + "\n";
  iovec part{text.data(), text.size()};
  if (::writev(1, &part, 1) < 0) ::_exit(3);
}

// Counts the calls, and does something at one of them.
class Fate final : public DiskWatcher {
 public:
  enum class What { count, cut, make_short, fill };
  Fate(What what, std::uint64_t at, unsigned flags, int folder)
      : what_(what), at_(at), flags_(flags), folder_(folder) {}

  Order before(const DiskCall& call) override {
    const bool writes = call.what == DiskCall::What::write;
    ++calls_;
    if (writes) ++writes_;
    const bool now = what_ == What::cut ? calls_ == at_ : writes && writes_ == at_;
    if (!now) return {full_ && grows(call) ? ENOSPC : 0, false, false};
    if (what_ == What::cut) {
      if (::ioctl(folder_, kShutdown, &flags_) != 0) {
        say(std::string("the ioctl failed: ") + std::strerror(errno));
        ::_exit(4);
      }
      ::kill(::getpid(), SIGKILL);
    }
    full_ = what_ == What::fill;
    return {0, what_ != What::count, false};
  }
  void done(const DiskCall&) override {}
  std::string counts() const {
    return "calls " + std::to_string(calls_) + " writes " + std::to_string(writes_);
  }

 private:
  static bool grows(const DiskCall& call) {
    return call.what == DiskCall::What::write || call.what == DiskCall::What::create ||
           call.what == DiskCall::What::make_folder;
  }
  const What what_;
  const std::uint64_t at_;
  unsigned flags_;
  const int folder_;
  std::uint64_t calls_ = 0, writes_ = 0;
  bool full_ = false;
};

int live_with(const std::filesystem::path& directory, Fate::What what, std::uint64_t at, unsigned flags) {
  const auto above = std::filesystem::absolute(directory).parent_path();
  Fate fate(what, at, flags, ::open(above.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  begin_watch(above, fate);
  {
    Life life(directory);
    live(life, say);
  }
  end_watch();
  say(fate.counts());
  return 0;
}

int check(const std::filesystem::path& directory) {
  std::vector<std::string> said;
  for (std::string line; std::getline(std::cin, line);) said.push_back(line);
  Life life(directory);
  const auto wrong = Judge(life, said).judge();
  for (const auto& text : wrong) std::cout << text << "\n";
  return wrong.empty() ? 0 : 1;
}

int prepare(const std::filesystem::path& directory) {
  Life life(directory);
  const bool made = static_cast<bool>(life.open());
  life.close();
  return made ? 0 : 1;
}

std::optional<int> perform(const std::vector<std::string>& words) {
  using What = Fate::What;
  if (words.size() < 2) return std::nullopt;
  const std::string& mode = words[0];
  if (mode == "prepare" && words.size() == 2) return prepare(words[1]);
  if (mode == "check" && words.size() == 2) return check(words[1]);
  if (mode != "live") return std::nullopt;
  if (words.size() == 2) {
    Life life(words[1]);
    live(life, say);
    return 0;
  }
  if (words[2] == "count") return live_with(words[1], What::count, 0, 0);
  if (words.size() < 4) return std::nullopt;
  const std::uint64_t at = std::stoull(words[3]);
  if (words[2] == "cut")
    return live_with(words[1], What::cut, at,
                     words.size() > 4 ? static_cast<unsigned>(std::stoul(words[4])) : 2);
  if (words[2] == "short") return live_with(words[1], What::make_short, at, 0);
  if (words[2] == "full") return live_with(words[1], What::fill, at, 0);
  return std::nullopt;
}

}  // namespace
}  // namespace holdfast

int main(int argc, char** argv) {
  if (const auto result = holdfast::perform({argv + 1, argv + argc})) return *result;
  std::fputs("usage: store_life prepare|live|check DIR; live DIR count|cut N [FLAGS]|short N|full N\n",
             stderr);
  return 64;
}
