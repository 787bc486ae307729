// smtp/base/metrics.h — counters and histograms as the rooms see them; mta/ exports them.
//
// Names without the prefix `holdfast_`, labels as pairs. Thread-safe. Labels are bounded: never a recipient
// domain or an address. Hot paths take a Counter once and keep it.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <utility>

namespace holdfast {

using Label = std::pair<std::string_view, std::string_view>;

class Counter {
 public:
  virtual ~Counter() = default;
  virtual void add(std::uint64_t n = 1) = 0;
};

class Histogram {
 public:
  virtual ~Histogram() = default;
  virtual void observe(double value) = 0;  // in base units: seconds, bytes
};

class Metrics {
 public:
  virtual ~Metrics() = default;
  // The same object for the same name and labels; lives as long as the Metrics.
  virtual Counter& counter(std::string_view name, std::initializer_list<Label> labels = {}) = 0;
  virtual Histogram& histogram(std::string_view name, std::initializer_list<Label> labels = {}) = 0;
  virtual void set(std::string_view name, double value, std::initializer_list<Label> labels = {}) = 0;
};

}  // namespace holdfast
