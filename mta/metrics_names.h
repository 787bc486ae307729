// mta/metrics_names.h — every metric of the relay with its help text: a contract with those who scrape it.
#pragma once

#include <string_view>
#include <vector>

namespace holdfast {

enum class MetricKind { counter, gauge, histogram };

struct MetricInfo {
  std::string_view name;  // without the prefix holdfast_
  MetricKind kind = MetricKind::counter;
  std::string_view help;
  bool labelled = false;
  std::vector<double> buckets = {};  // upper bounds of a histogram
};

const std::vector<MetricInfo>& metric_names();
const MetricInfo* find_metric(std::string_view name);

}  // namespace holdfast
