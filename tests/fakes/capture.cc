#include "tests/fakes/capture.h"

#include <atomic>

namespace holdfast {
namespace {

std::string series_name(std::string_view name, std::initializer_list<Label> labels) {
  std::string out(name);
  char separator = '{';
  for (const auto& [key, value] : labels) {
    out += separator;
    out += key;
    out += '=';
    out += value;
    separator = ',';
  }
  if (labels.size() != 0) out += '}';
  return out;
}

}  // namespace

void CapturingLog::event(std::string_view name, const Fields& fields) {
  std::lock_guard lock(mutex_);
  lines_.push_back(Line{std::string(name), LogLevel::info, "", fields.json()});
}

void CapturingLog::write(LogLevel level, std::string_view text, const Fields& fields) {
  std::lock_guard lock(mutex_);
  lines_.push_back(Line{"", level, std::string(text), fields.json()});
}

std::vector<CapturingLog::Line> CapturingLog::lines() const {
  std::lock_guard lock(mutex_);
  return lines_;
}

std::vector<CapturingLog::Line> CapturingLog::events(std::string_view name) const {
  std::vector<Line> found;
  for (auto& line : lines()) {
    if (line.event == name) found.push_back(std::move(line));
  }
  return found;
}

bool CapturingLog::holds(std::string_view text) const {
  for (const auto& line : lines()) {
    if ((line.event + " " + line.text + " " + line.fields).find(text) != std::string::npos) return true;
  }
  return false;
}

class CapturingMetrics::Series final : public Counter, public Histogram {
 public:
  void add(std::uint64_t n) override { count_ += n; }
  void observe(double value) override {
    std::lock_guard lock(mutex_);
    observed_.push_back(value);
  }
  std::uint64_t count() const { return count_; }
  std::vector<double> observed() const {
    std::lock_guard lock(mutex_);
    return observed_;
  }

 private:
  std::atomic<std::uint64_t> count_{0};
  mutable std::mutex mutex_;
  std::vector<double> observed_;
};

CapturingMetrics::CapturingMetrics() = default;
CapturingMetrics::~CapturingMetrics() = default;

CapturingMetrics::Series& CapturingMetrics::at(std::string_view name, std::initializer_list<Label> labels) {
  std::lock_guard lock(mutex_);
  auto& series = series_[series_name(name, labels)];
  if (!series) series = std::make_unique<Series>();
  return *series;
}

const CapturingMetrics::Series* CapturingMetrics::find(const std::string& series) const {
  std::lock_guard lock(mutex_);
  const auto found = series_.find(series);
  return found == series_.end() ? nullptr : found->second.get();
}

Counter& CapturingMetrics::counter(std::string_view name, std::initializer_list<Label> labels) {
  return at(name, labels);
}

Histogram& CapturingMetrics::histogram(std::string_view name, std::initializer_list<Label> labels) {
  return at(name, labels);
}

void CapturingMetrics::set(std::string_view name, double value, std::initializer_list<Label> labels) {
  std::lock_guard lock(mutex_);
  gauges_[series_name(name, labels)] = value;
}

std::uint64_t CapturingMetrics::count(const std::string& series) const {
  const auto* found = find(series);
  return found ? found->count() : 0;
}

std::vector<double> CapturingMetrics::observed(const std::string& series) const {
  const auto* found = find(series);
  return found ? found->observed() : std::vector<double>();
}

double CapturingMetrics::gauge(const std::string& series) const {
  std::lock_guard lock(mutex_);
  const auto found = gauges_.find(series);
  return found == gauges_.end() ? 0 : found->second;
}

}  // namespace holdfast
