// tests/crash_matrix/store_life.cc — a life of the store as a program, and the judge of what it left.
//
//   store_life prepare DIR         makes an empty store
//   store_life live DIR            lives in it, and says on standard output which step begins and which is
//   done store_life live DIR count      the same, and says last how many calls changed or synced a
//                                  file, and how many of them wrote
//   store_life live DIR cut N [FLAGS]  at the N-th of them the file system is shut down as by a power cut
//                                  (FLAGS of the ioctl; 2 = without flushing its log), and the process dies
//   store_life live DIR fail N ERROR once|sticky   the N-th fails; sticky: and every later one of its kind
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
  enum class What { count, cut, fail, make_short, fill };
  struct Plan {
    What what = What::count;
    std::uint64_t at = 0;
    unsigned flags = 2;  // cut
    int error = 0;       // fail
    bool sticky = false;
  };
  Fate(Plan plan, int folder) : plan_(plan), folder_(folder) {}

  Order before(const DiskCall& call) override {
    const bool writes = call.what == DiskCall::What::write;
    ++calls_;
    if (writes) ++writes_;
    if (plan_.what == What::count) kinds_ += std::string(kinds_.empty() ? "" : ",") + name(call.what);
    const bool of_all = plan_.what == What::cut || plan_.what == What::fail;
    const bool now = of_all ? calls_ == plan_.at : writes && writes_ == plan_.at;
    if (!now) {
      if (full_ && grows(call)) return {ENOSPC, false, false};
      return {failing_ == call.what ? plan_.error : 0, false, false};
    }
    if (plan_.what == What::cut) {
      if (::ioctl(folder_, kShutdown, &plan_.flags) != 0) {
        say(std::string("the ioctl failed: ") + std::strerror(errno));
        ::_exit(4);
      }
      ::kill(::getpid(), SIGKILL);
    }
    full_ = plan_.what == What::fill;
    if (plan_.sticky) failing_ = call.what;
    return {plan_.error, full_ || plan_.what == What::make_short, false};
  }
  void done(const DiskCall&) override {}
  std::string counts() const {
    return "kinds " + kinds_ + "\ncalls " + std::to_string(calls_) + " writes " + std::to_string(writes_);
  }

 private:
  static bool grows(const DiskCall& call) {
    return call.what == DiskCall::What::write || call.what == DiskCall::What::create ||
           call.what == DiskCall::What::make_folder;
  }
  Plan plan_;
  const int folder_;
  std::uint64_t calls_ = 0, writes_ = 0;
  std::string kinds_;
  bool full_ = false;
  std::optional<DiskCall::What> failing_;
};

int live_with(const std::filesystem::path& directory, const Fate::Plan& plan) {
  const auto above = std::filesystem::absolute(directory).parent_path();
  Fate fate(plan, ::open(above.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  begin_watch(above, fate);
  {
    Life life(directory);
    live(life, say);
  }
  end_watch();
  say(fate.counts());
  return 0;
}

int error_of(const std::string& name) {
  if (name == "ENOSPC") return ENOSPC;
  if (name == "EDQUOT") return EDQUOT;
  if (name == "EMFILE") return EMFILE;
  return EIO;
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
  Fate::Plan plan;
  if (words[2] == "count") return live_with(words[1], plan);
  if (words.size() < 4) return std::nullopt;
  plan.at = std::stoull(words[3]);
  if (words[2] == "cut") {
    plan.what = What::cut;
    if (words.size() > 4) plan.flags = static_cast<unsigned>(std::stoul(words[4]));
  } else if (words[2] == "fail" && words.size() == 6) {
    plan.what = What::fail;
    plan.error = error_of(words[4]);
    plan.sticky = words[5] == "sticky";
  } else if (words[2] == "short" || words[2] == "full") {
    plan.what = words[2] == "short" ? What::make_short : What::fill;
  } else {
    return std::nullopt;
  }
  return live_with(words[1], plan);
}

}  // namespace
}  // namespace holdfast

int main(int argc, char** argv) {
  if (const auto result = holdfast::perform({argv + 1, argv + argc})) return *result;
  std::fputs("usage: store_life prepare|live|check DIR; live DIR count|cut N [FLAGS]|short N|full N\n",
             stderr);
  return 64;
}
