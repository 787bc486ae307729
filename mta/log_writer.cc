#include "mta/log_writer.h"

#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "mta/log_format.h"

namespace holdfast {
namespace {

// The first line to come wakes the thread, which then waits this long for more: a busy relay wakes it some
// hundred times a second, not with every line.
constexpr auto kGatherTime = std::chrono::milliseconds(10);
// So much is written without further waiting.
constexpr std::size_t kEnough = 64 * 1024;

}  // namespace

// Lines gather in `waiting` while the thread writes those before; both together are bounded by `queue_size`.
struct LogWriter::Impl {
  const Clock& clock;
  const int fd;
  const std::string key;
  const std::size_t queue_size;
  std::atomic<LogLevel> level{LogLevel::info};
  std::atomic<LogAddresses> addresses{LogAddresses::full};
  std::atomic<bool> text{false};
  std::atomic<std::uint64_t> dropped{0};

  std::mutex mutex;
  std::condition_variable more, room;
  std::string waiting;
  std::size_t lines = 0;  // waiting, or being written
  std::size_t producers_waiting = 0;
  bool idle = false;  // the thread waits for a first line
  bool stopping = false;
  std::thread thread;

  Impl(const Clock& clock_, int fd_, std::string key_, std::size_t queue_size_)
      : clock(clock_), fd(fd_), key(std::move(key_)), queue_size(std::max<std::size_t>(queue_size_, 4)) {
    thread = std::thread([this] { run(); });
  }
  ~Impl() {
    {
      const std::lock_guard lock(mutex);
      stopping = true;
    }
    more.notify_one();
    thread.join();
  }

  void post(const std::string& line) {
    std::unique_lock lock(mutex);
    if (lines >= queue_size) {
      ++producers_waiting;
      room.wait(lock, [this] { return lines < queue_size; });
      --producers_waiting;
    }
    waiting += line;
    waiting += '\n';
    ++lines;
    const bool wake = std::exchange(idle, false) || waiting.size() >= kEnough || lines >= queue_size;
    lock.unlock();
    if (wake) more.notify_one();
  }

  // Whether a quarter of the queue is left, which is kept for events.
  bool has_room_for_diagnostics() {
    const std::lock_guard lock(mutex);
    return lines < queue_size - queue_size / 4;
  }

  void diagnose(LogLevel at, std::string_view what, const std::string& fields) {
    const WallTime now = clock.wall();
    post(text ? text_diagnostic(now, at, what, fields) : json_diagnostic(now, at, what, fields));
  }

  void run() {
    std::string out;
    std::unique_lock lock(mutex);
    while (true) {
      idle = waiting.empty();
      more.wait(lock, [this] { return stopping || !waiting.empty(); });
      idle = false;
      if (waiting.empty()) return;
      more.wait_for(lock, kGatherTime,
                    [this] { return stopping || waiting.size() >= kEnough || lines >= queue_size; });
      out.swap(waiting);
      const std::size_t written = lines;
      lock.unlock();
      write_all(out);
      out.clear();
      lock.lock();
      lines -= written;
      if (producers_waiting > 0) room.notify_all();
    }
  }

  void write_all(std::string_view rest) const {
    while (!rest.empty()) {
      const ssize_t written = ::write(fd, rest.data(), rest.size());
      if (written > 0) {
        rest.remove_prefix(static_cast<std::size_t>(written));
      } else if (written < 0 && errno == EAGAIN) {
        pollfd ready{fd, POLLOUT, 0};
        poll(&ready, 1, -1);
      } else if (written == 0 || errno != EINTR) {
        return;  // nobody reads any more (EPIPE) or the disk is full: there is no other place to say it
      }
    }
  }
};

LogWriter::LogWriter(const LogSettings& settings, const Clock& clock, int fd, std::string key,
                     std::size_t queue_size)
    : impl_(std::make_unique<Impl>(clock, fd, std::move(key), queue_size)) {
  configure(settings);
}

LogWriter::~LogWriter() = default;

bool LogWriter::enabled(LogLevel level) const {
  return level >= impl_->level.load(std::memory_order_relaxed);
}

void LogWriter::event(std::string_view name, const Fields& fields) {
  const std::string shown = apply_addresses(fields, impl_->addresses, impl_->key);
  const WallTime now = impl_->clock.wall();
  impl_->post(impl_->text ? text_event(now, name, shown) : json_event(now, name, shown));
}

void LogWriter::write(LogLevel level, std::string_view text, const Fields& fields) {
  if (!enabled(level)) return;
  // A quarter of the queue is kept for events, so that a diagnostic never waits for a stalled reader.
  if (!impl_->has_room_for_diagnostics()) {
    impl_->dropped.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  if (const std::uint64_t dropped = impl_->dropped.exchange(0); dropped != 0)
    impl_->diagnose(LogLevel::warning, "the log was not read fast enough: diagnostics were dropped",
                    Fields().add("dropped", dropped).json());
  impl_->diagnose(level, text, apply_addresses(fields, impl_->addresses, impl_->key));
}

void LogWriter::configure(const LogSettings& settings) {
  impl_->level = settings.level;
  impl_->addresses = settings.addresses;
  impl_->text = settings.format == LogFormat::text ||
                (settings.format == LogFormat::automatic && isatty(impl_->fd) == 1);
}

}  // namespace holdfast
