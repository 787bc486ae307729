#include "mta/cli/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

namespace holdfast {
namespace {

constexpr std::size_t kBarWidth = 24, kMarkWidth = 4;
constexpr std::size_t kUsualWidth = 80;

std::size_t terminal_width() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kUsualWidth;
}

void put(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

}  // namespace

std::string progress_text(const std::string& what, std::size_t done, std::size_t total,
                          std::chrono::milliseconds since, std::size_t width) {
  std::string bar(kBarWidth, '-'), end;
  if (total > 0) {
    done = std::min(done, total);
    std::fill_n(bar.begin(), done * kBarWidth / total, '#');
    end = std::to_string(done) + " of " + std::to_string(total);
  } else {
    const std::size_t way = kBarWidth - kMarkWidth;
    const auto step = static_cast<std::size_t>(since / Progress::kEvery) % (2 * way);
    std::fill_n(bar.begin() + static_cast<std::ptrdiff_t>(std::min(step, 2 * way - step)), kMarkWidth, '#');
    end = std::to_string(since.count() / 1000) + " s";
  }
  return ("[" + bar + "] " + end + "  " + what).substr(0, width);
}

bool Progress::shown(const CommonOptions& common) { return !common.json && isatty(STDERR_FILENO) == 1; }

Progress::Progress(bool shown, std::string what, std::size_t total)
    : what_(printable(what)), total_(total), began_(std::chrono::steady_clock::now()) {
  if (!shown) return;
  thread_ = std::thread([this] {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kPatience, [this] { return ended_; });
    while (!ended_) {
      draw();
      changed_.wait_for(lock, kEvery, [this] { return ended_; });
    }
  });
}

Progress::~Progress() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  changed_.notify_one();
  thread_.join();
  clear();
}

void Progress::advance(std::size_t by) {
  const std::lock_guard lock(mutex_);
  done_ += by;
}

void Progress::clear() {
  const std::lock_guard lock(mutex_);
  if (std::exchange(drawn_, false)) put("\r\033[K");
}

void Progress::draw() {
  const auto since =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began_);
  // One column is left free: a full line would wrap.
  put("\r" + progress_text(what_, done_, total_, since, terminal_width() - 1) + "\033[K");
  drawn_ = true;
}

}  // namespace holdfast
