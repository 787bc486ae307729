// mta/metrics_registry.h — the relay's Metrics: atomic counters, gauges and histograms, exported as
// Prometheus text.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "mta/metrics_names.h"
#include "smtp/base/metrics.h"

namespace holdfast {

// Thread-safe. Handing out an object takes a lock, counting does not.
class MetricsRegistry final : public Metrics {
 public:
  // Known metrics without labels exist from the start: a rate over a series that begins at 1 misses the first
  // event.
  MetricsRegistry();
  ~MetricsRegistry() override;
  MetricsRegistry(const MetricsRegistry&) = delete;
  MetricsRegistry& operator=(const MetricsRegistry&) = delete;

  // Throws std::logic_error for a name that is used as two kinds: a bug.
  Counter& counter(std::string_view name, std::initializer_list<Label> labels = {}) override;
  Histogram& histogram(std::string_view name, std::initializer_list<Label> labels = {}) override;
  void set(std::string_view name, double value, std::initializer_list<Label> labels = {}) override;

  // The series of a counter or gauge as they stand.
  struct Sample {
    std::map<std::string, std::string> labels;
    double value = 0;
  };
  std::vector<Sample> samples(std::string_view name) const;

  // Prometheus text format 0.0.4, families and series sorted.
  std::string text() const;

 private:
  using Labels = std::vector<std::pair<std::string, std::string>>;  // sorted
  struct Series;
  struct Family {
    MetricKind kind = MetricKind::counter;
    std::string help;
    std::vector<double> buckets;
    std::map<Labels, std::unique_ptr<Series>> series;
  };

  Series& find(std::string_view name, MetricKind kind, std::initializer_list<Label> labels);

  mutable std::mutex mutex_;
  std::map<std::string, Family, std::less<>> families_;
};

}  // namespace holdfast
