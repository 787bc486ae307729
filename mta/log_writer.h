// mta/log_writer.h — the Log of the running relay: a bounded queue and one thread that writes.
//
// Events wait for a place in the queue and are never dropped. Diagnostics are dropped when the reader of the
// log has stalled and the queue is nearly full; how many were is told once it moves again.
#pragma once

#include <memory>
#include <string>

#include "config/settings.h"
#include "smtp/base/clock.h"
#include "smtp/base/log.h"

namespace holdfast {

class LogWriter final : public Log {
 public:
  // Writes to `fd`, which is not closed; `key` is for LogAddresses::hmac. Format `automatic` asks whether fd
  // is a terminal. `clock` outlives this. `queue_size` is in lines.
  LogWriter(const LogSettings& settings, const Clock& clock, int fd, std::string key,
            std::size_t queue_size = 8192);
  ~LogWriter() override;  // writes what is queued
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  bool enabled(LogLevel level) const override;
  void event(std::string_view name, const Fields& fields) override;
  void write(LogLevel level, std::string_view text, const Fields& fields) override;

  // At a reload: what is logged from now on follows these. Any thread.
  void configure(const LogSettings& settings);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The key of LogAddresses::hmac: 32 octets in `file`, made at first use with mode 0600, so that an address
// looks the same after a restart. On failure a key of this process alone, and `why` says so.
std::string load_or_make_log_key(const std::filesystem::path& file, std::string& why);

}  // namespace holdfast
