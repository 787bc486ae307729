#include "mta/metrics_registry.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <sstream>
#include <stdexcept>

namespace holdfast {
namespace {

const std::vector<double> default_buckets = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};

prometheus::MetricType type_of(MetricKind kind) {
  switch (kind) {
    case MetricKind::counter: return prometheus::MetricType::Counter;
    case MetricKind::gauge: return prometheus::MetricType::Gauge;
    case MetricKind::histogram: return prometheus::MetricType::Histogram;
  }
  return prometheus::MetricType::Untyped;
}

class AtomicCounter final : public Counter {
 public:
  void add(std::uint64_t n) override { value_.fetch_add(n, std::memory_order_relaxed); }
  double value() const { return static_cast<double>(value_.load(std::memory_order_relaxed)); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

class AtomicHistogram final : public Histogram {
 public:
  explicit AtomicHistogram(std::vector<double> bounds)
      : bounds_(std::move(bounds)), counts_(bounds_.size() + 1) {}

  void observe(double value) override {
    const auto bucket = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
    counts_[static_cast<std::size_t>(bucket)].fetch_add(1, std::memory_order_relaxed);
    sum_.fetch_add(value, std::memory_order_relaxed);
  }

  prometheus::ClientMetric::Histogram snapshot() const {
    prometheus::ClientMetric::Histogram out;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      out.sample_count += counts_[i].load(std::memory_order_relaxed);
      const double bound = i < bounds_.size() ? bounds_[i] : std::numeric_limits<double>::infinity();
      out.bucket.push_back({out.sample_count, bound});
    }
    out.sample_sum = sum_.load(std::memory_order_relaxed);
    return out;
  }

 private:
  const std::vector<double> bounds_;
  std::vector<std::atomic<std::uint64_t>> counts_;
  std::atomic<double> sum_{0};
};

}  // namespace

struct MetricsRegistry::Series {
  explicit Series(const std::vector<double>& buckets) : histogram(buckets) {}
  AtomicCounter counter;
  std::atomic<double> gauge{0};
  AtomicHistogram histogram;
};

MetricsRegistry::MetricsRegistry() {
  for (const MetricInfo& info : metric_names())
    if (!info.labelled && info.kind != MetricKind::gauge) find(info.name, info.kind, {});
}

MetricsRegistry::~MetricsRegistry() = default;

MetricsRegistry::Series& MetricsRegistry::find(std::string_view name, MetricKind kind,
                                               std::initializer_list<Label> labels) {
  const std::lock_guard lock(mutex_);
  auto it = families_.find(name);
  if (it == families_.end()) {
    Family family;
    const MetricInfo* info = find_metric(name);
    family.kind = kind;
    family.help = info ? info->help : name;
    if (kind == MetricKind::histogram) family.buckets = info ? info->buckets : default_buckets;
    if (info && info->kind != kind) throw std::logic_error("metric of another kind: " + std::string(name));
    it = families_.emplace(name, std::move(family)).first;
  }
  if (it->second.kind != kind) throw std::logic_error("metric of two kinds: " + std::string(name));
  Labels key;
  for (const Label& label : labels) key.emplace_back(label.first, label.second);
  std::sort(key.begin(), key.end());
  auto& series = it->second.series[std::move(key)];
  if (!series) series = std::make_unique<Series>(it->second.buckets);
  return *series;
}

Counter& MetricsRegistry::counter(std::string_view name, std::initializer_list<Label> labels) {
  return find(name, MetricKind::counter, labels).counter;
}

Histogram& MetricsRegistry::histogram(std::string_view name, std::initializer_list<Label> labels) {
  return find(name, MetricKind::histogram, labels).histogram;
}

void MetricsRegistry::set(std::string_view name, double value, std::initializer_list<Label> labels) {
  find(name, MetricKind::gauge, labels).gauge.store(value, std::memory_order_relaxed);
}

std::vector<MetricsRegistry::Sample> MetricsRegistry::samples(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  std::vector<Sample> found;
  const auto family = families_.find(name);
  if (family == families_.end()) return found;
  for (const auto& [labels, series] : family->second.series) {
    Sample& sample = found.emplace_back();
    sample.labels.insert(labels.begin(), labels.end());
    sample.value = family->second.kind == MetricKind::gauge ? series->gauge.load(std::memory_order_relaxed)
                                                            : series->counter.value();
  }
  return found;
}

std::string MetricsRegistry::text() const {
  std::vector<prometheus::MetricFamily> families;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, family] : families_) {
      prometheus::MetricFamily& out = families.emplace_back();
      out.name = "holdfast_" + name;
      out.help = family.help;
      out.type = type_of(family.kind);
      for (const auto& [labels, series] : family.series) {
        prometheus::ClientMetric& metric = out.metric.emplace_back();
        for (const auto& [key, value] : labels) metric.label.push_back({key, value});
        metric.counter.value = series->counter.value();
        metric.gauge.value = series->gauge.load(std::memory_order_relaxed);
        if (family.kind == MetricKind::histogram) metric.histogram = series->histogram.snapshot();
      }
    }
  }
  std::ostringstream out;
  out.imbue(std::locale::classic());
  prometheus::TextSerializer().Serialize(out, families);
  return out.str();
}

}  // namespace holdfast
