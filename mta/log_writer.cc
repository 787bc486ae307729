#include "mta/log_writer.h"

#include <poll.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/sink.h>
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

// spdlog's own asynchronous logger wakes its thread with every line; this sink lets lines gather in `waiting`
// while its thread writes those before. Both together are bounded by `queue_size`: a full one makes wait.
class GatheringSink final : public spdlog::sinks::sink {
 public:
  GatheringSink(int fd, std::size_t queue_size) : fd_(fd), queue_size_(std::max<std::size_t>(queue_size, 4)) {
    thread_ = std::thread([this] { run(); });
  }
  ~GatheringSink() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    more_.notify_one();
    thread_.join();
  }

  // Lines come formatted (mta/log_format.h).
  void log(const spdlog::details::log_msg& message) override {
    post(std::string_view(message.payload.data(), message.payload.size()));
  }
  void flush() override {}  // the thread writes by itself, and the destructor waits for it
  void set_pattern(const std::string&) override {}
  void set_formatter(std::unique_ptr<spdlog::formatter>) override {}

  // Whether a quarter of the queue is left, which is kept for events.
  bool has_room_for_diagnostics() {
    const std::lock_guard lock(mutex_);
    return lines_ < queue_size_ - queue_size_ / 4;
  }

 private:
  void post(std::string_view line) {
    std::unique_lock lock(mutex_);
    if (lines_ >= queue_size_) {
      ++producers_waiting_;
      room_.wait(lock, [this] { return lines_ < queue_size_; });
      --producers_waiting_;
    }
    waiting_ += line;
    waiting_ += '\n';
    ++lines_;
    const bool wake = std::exchange(idle_, false) || waiting_.size() >= kEnough || lines_ >= queue_size_;
    lock.unlock();
    if (wake) more_.notify_one();
  }

  void run() {
    std::string out;
    std::unique_lock lock(mutex_);
    while (true) {
      idle_ = waiting_.empty();
      more_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
      idle_ = false;
      if (waiting_.empty()) return;
      more_.wait_for(lock, kGatherTime,
                     [this] { return stopping_ || waiting_.size() >= kEnough || lines_ >= queue_size_; });
      out.swap(waiting_);
      const std::size_t written = lines_;
      lock.unlock();
      write_all(out);
      out.clear();
      lock.lock();
      lines_ -= written;
      if (producers_waiting_ > 0) room_.notify_all();
    }
  }

  void write_all(std::string_view rest) const {
    while (!rest.empty()) {
      const ssize_t written = ::write(fd_, rest.data(), rest.size());
      if (written > 0) {
        rest.remove_prefix(static_cast<std::size_t>(written));
      } else if (written < 0 && errno == EAGAIN) {
        pollfd ready{fd_, POLLOUT, 0};
        poll(&ready, 1, -1);
      } else if (written == 0 || errno != EINTR) {
        return;  // nobody reads any more (EPIPE) or the disk is full: there is no other place to say it
      }
    }
  }

  const int fd_;
  const std::size_t queue_size_;
  std::mutex mutex_;
  std::condition_variable more_, room_;
  std::string waiting_;
  std::size_t lines_ = 0;  // waiting, or being written
  std::size_t producers_waiting_ = 0;
  bool idle_ = false;  // the thread waits for a first line
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace

struct LogWriter::Impl {
  const Clock& clock;
  const int fd;
  const std::string key;
  std::atomic<LogLevel> level{LogLevel::info};
  std::atomic<LogAddresses> addresses{LogAddresses::full};
  std::atomic<bool> text{false};
  std::atomic<std::uint64_t> dropped{0};
  std::shared_ptr<GatheringSink> sink;
  spdlog::logger logger;

  Impl(const Clock& clock_, int fd_, std::string key_, std::size_t queue_size)
      : clock(clock_),
        fd(fd_),
        key(std::move(key_)),
        sink(std::make_shared<GatheringSink>(fd_, queue_size)),
        logger("holdfast", sink) {
    logger.set_level(spdlog::level::trace);  // levels are judged here, before anything is formatted
  }

  void post(const std::string& line) { logger.log(spdlog::level::info, spdlog::string_view_t(line)); }

  void diagnose(LogLevel at, std::string_view what, const std::string& fields) {
    const WallTime now = clock.wall();
    post(text ? text_diagnostic(now, at, what, fields) : json_diagnostic(now, at, what, fields));
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
  if (!impl_->sink->has_room_for_diagnostics()) {
    impl_->dropped.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  if (const std::uint64_t dropped = impl_->dropped.exchange(0); dropped != 0)
    impl_->diagnose(LogLevel::warning, "the log was not read fast enough: diagnostics were dropped",
                    Fields().add("dropped", dropped).json());
  const LogAddresses how = impl_->addresses;
  const std::string shown = apply_addresses(fields, how, impl_->key);
  if (how == LogAddresses::full) return impl_->diagnose(level, text, shown);
  impl_->diagnose(level, hide_addresses(text, how, impl_->key), shown);
}

void LogWriter::configure(const LogSettings& settings) {
  impl_->level = settings.level;
  impl_->addresses = settings.addresses;
  impl_->text = settings.format == LogFormat::text ||
                (settings.format == LogFormat::automatic && isatty(impl_->fd) == 1);
}

}  // namespace holdfast
