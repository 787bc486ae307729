#include "mta/log_writer.h"

#include <poll.h>
#include <spdlog/async.h>
#include <spdlog/async_logger.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "mta/log_format.h"

namespace holdfast {
namespace {

// Lines are gathered while more wait, and written at the latest at this size.
constexpr std::size_t write_at = 64 * 1024;

// Writes payloads as they are, each with its line end. Called by the one thread of the pool.
class DescriptorSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit DescriptorSink(int fd) : fd_(fd) {}
  // While more lines wait in `pool`, writing may wait for them. A plain pointer: the pool joins the thread
  // that runs here before it goes, and a shared one could make that thread the pool's last owner.
  void watch(spdlog::details::thread_pool* pool) { pool_ = pool; }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    buffer_.append(message.payload.data(), message.payload.size());
    buffer_ += '\n';
    if (buffer_.size() >= write_at || pool_->queue_size() == 0) flush_();
  }

  void flush_() override {
    std::string_view rest = buffer_;
    while (!rest.empty()) {
      const ssize_t written = ::write(fd_, rest.data(), rest.size());
      if (written > 0) {
        rest.remove_prefix(static_cast<std::size_t>(written));
      } else if (written < 0 && errno == EAGAIN) {
        pollfd ready{fd_, POLLOUT, 0};
        poll(&ready, 1, -1);
      } else if (written == 0 || errno != EINTR) {
        break;  // nobody reads any more (EPIPE) or the disk is full: there is no other place to say it
      }
    }
    buffer_.clear();
  }

 private:
  const int fd_;
  std::string buffer_;
  spdlog::details::thread_pool* pool_ = nullptr;
};

}  // namespace

struct LogWriter::Impl {
  const Clock& clock;
  const int fd;
  const std::string key;
  const std::size_t queue_size;
  std::atomic<LogLevel> level{LogLevel::info};
  std::atomic<LogAddresses> addresses{LogAddresses::full};
  std::atomic<bool> text{false};
  std::atomic<std::uint64_t> dropped{0};
  std::shared_ptr<DescriptorSink> sink;
  std::shared_ptr<spdlog::details::thread_pool> pool;
  std::shared_ptr<spdlog::async_logger> logger;

  Impl(const Clock& clock_, int fd_, std::string key_, std::size_t queue_size_)
      : clock(clock_),
        fd(fd_),
        key(std::move(key_)),
        queue_size(queue_size_),
        sink(std::make_shared<DescriptorSink>(fd_)),
        pool(std::make_shared<spdlog::details::thread_pool>(queue_size_, 1)),
        logger(std::make_shared<spdlog::async_logger>("holdfast", sink, pool,
                                                      spdlog::async_overflow_policy::block)) {
    sink->watch(pool.get());
    logger->set_level(spdlog::level::trace);  // levels are judged here, before anything is formatted
  }

  void post(std::string line) { logger->log(spdlog::level::info, spdlog::string_view_t(line)); }

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

LogWriter::~LogWriter() {
  // The pool's destructor works the queue off and joins its thread.
  impl_->logger.reset();
  impl_->pool.reset();
  impl_->sink->flush();  // the last lines, which had waited for the pool's end behind them
}

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
  if (impl_->pool->queue_size() >= impl_->queue_size - impl_->queue_size / 4) {
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
