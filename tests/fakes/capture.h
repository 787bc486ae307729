// tests/fakes/capture.h — Log and Metrics that keep what they are told.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "smtp/base/log.h"
#include "smtp/base/metrics.h"

namespace holdfast {

// Thread-safe.
class CapturingLog final : public Log {
 public:
  struct Line {
    std::string event;  // its name; "" for a diagnostic
    LogLevel level = LogLevel::info;
    std::string text;    // of a diagnostic
    std::string fields;  // as in Fields::json()
  };

  bool enabled(LogLevel) const override { return true; }
  void event(std::string_view name, const Fields& fields) override;
  void write(LogLevel level, std::string_view text, const Fields& fields) override;

  std::vector<Line> lines() const;
  std::vector<Line> events(std::string_view name) const;
  // Whether some line, its name, text and fields joined, holds `text`.
  bool holds(std::string_view text) const;

 private:
  mutable std::mutex mutex_;
  std::vector<Line> lines_;
};

// Thread-safe. A series is written `name{label=value,other=value}`, or `name` without labels.
class CapturingMetrics final : public Metrics {
 public:
  Counter& counter(std::string_view name, std::initializer_list<Label> labels = {}) override;
  Histogram& histogram(std::string_view name, std::initializer_list<Label> labels = {}) override;
  void set(std::string_view name, double value, std::initializer_list<Label> labels = {}) override;

  std::uint64_t count(const std::string& series) const;           // of a counter; 0 when there is none
  std::vector<double> observed(const std::string& series) const;  // by a histogram
  double gauge(const std::string& series) const;                  // 0 when there is none

 private:
  class Series;
  Series& at(std::string_view name, std::initializer_list<Label> labels);
  const Series* find(const std::string& series) const;

  mutable std::mutex mutex_;
  std::map<std::string, std::unique_ptr<Series>> series_;
  std::map<std::string, double> gauges_;

 public:
  CapturingMetrics();
  ~CapturingMetrics() override;
};

}  // namespace holdfast
