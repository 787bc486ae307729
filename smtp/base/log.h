// smtp/base/log.h — structured log: events (design: one line per change of state) and diagnostics.
//
// Values are escaped here, once: nothing that a peer sent can break a line. Names of events and fields are a
// contract with the programs that read the log; see the README.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/settings.h"

namespace holdfast {

// The fields of one JSON object, in order, already escaped: `"to":"a@b.example","attempt":2`.
class Fields {
 public:
  Fields& add(std::string_view key, std::string_view value);
  Fields& add(std::string_view key, const char* value) { return add(key, std::string_view(value)); }
  Fields& add(std::string_view key, std::int64_t value);
  Fields& add(std::string_view key, std::uint64_t value);
  Fields& add(std::string_view key, int value) { return add(key, static_cast<std::int64_t>(value)); }
  Fields& add(std::string_view key, unsigned value) { return add(key, static_cast<std::uint64_t>(value)); }
  Fields& add(std::string_view key, double value);
  Fields& add(std::string_view key, bool value);
  Fields& add(std::string_view key, const Fields& object);
  // An address (local@domain). The Log writes it whole, masked or as an HMAC, as `log.addresses` says.
  Fields& add_address(std::string_view key, std::string_view address);
  Fields& append(const Fields& other);  // its fields behind these, not nested
  const std::string& json() const { return json_; }
  // Where in json() the (escaped) addresses stand, without their quotes, in ascending order.
  struct Span {
    std::size_t begin, end;
  };
  const std::vector<Span>& addresses() const { return addresses_; }
  bool empty() const { return json_.empty(); }

 private:
  std::string& begin(std::string_view key);
  std::string json_;
  std::vector<Span> addresses_;
};

// Thread-safe. Never blocks on the terminal or pipe for diagnostics; delivery events are never dropped.
class Log {
 public:
  virtual ~Log() = default;
  virtual bool enabled(LogLevel level) const = 0;
  // One of the events that users depend on: accepted, delivered, deferred, …
  virtual void event(std::string_view name, const Fields& fields) = 0;
  virtual void write(LogLevel level, std::string_view text, const Fields& fields) = 0;

  void debug(std::string_view text, const Fields& f = {}) {
    if (enabled(LogLevel::debug)) write(LogLevel::debug, text, f);
  }
  void info(std::string_view text, const Fields& f = {}) {
    if (enabled(LogLevel::info)) write(LogLevel::info, text, f);
  }
  void warning(std::string_view text, const Fields& f = {}) { write(LogLevel::warning, text, f); }
  void error(std::string_view text, const Fields& f = {}) { write(LogLevel::error, text, f); }
};

// A log whose lines begin with the same fields: the queue id, the peer. Outlived by `log`.
class PrefixLog {
 public:
  PrefixLog(Log& log, Fields prefix) : log_(log), prefix_(std::move(prefix)) {}
  void event(std::string_view name, const Fields& fields) const;
  void debug(std::string_view text) const {
    if (log_.enabled(LogLevel::debug)) log_.write(LogLevel::debug, text, prefix_);
  }
  void info(std::string_view text) const { log_.info(text, prefix_); }
  void warning(std::string_view text) const { log_.warning(text, prefix_); }
  void error(std::string_view text) const { log_.error(text, prefix_); }

 private:
  Log& log_;
  Fields prefix_;
};

}  // namespace holdfast
