#include "mta/page/traffic.h"

#include <algorithm>

namespace holdfast {

namespace {

constexpr auto kMinute = std::chrono::minutes(1);
constexpr auto kKept = kMinute * (TrafficHistory::kMinutes + 1);

}  // namespace

void TrafficHistory::note(SteadyTime now, std::uint64_t accepted, std::uint64_t delivered) {
  const Sample sample{now, {accepted, delivered}};
  // Somebody who loads the page again and again adds no samples: the latest one moves on.
  const auto size = samples_.size();
  if (size >= 2 && now - samples_[size - 2].at < kEvery) {
    samples_.back() = sample;
  } else {
    samples_.push_back(sample);
  }
  while (samples_.size() > 2 && now - samples_[1].at > kKept) samples_.pop_front();
}

// The count at the latest sample that is not after `at`.
TrafficMinute TrafficHistory::total_at(SteadyTime at) const {
  const auto after = std::upper_bound(samples_.begin(), samples_.end(), at,
                                      [](SteadyTime time, const Sample& sample) { return time < sample.at; });
  return after == samples_.begin() ? samples_.front().total : std::prev(after)->total;
}

std::vector<TrafficMinute> TrafficHistory::minutes(SteadyTime now) const {
  std::vector<TrafficMinute> found;
  if (samples_.empty()) return found;
  TrafficMinute end = total_at(now);
  for (std::size_t i = 0; i < kMinutes; ++i) {
    const SteadyTime from = now - kMinute * (i + 1);
    const TrafficMinute begin = total_at(from);
    found.push_back({end.accepted - begin.accepted, end.delivered - begin.delivered});
    if (from < samples_.front().at) break;
    end = begin;
  }
  return found;
}

}  // namespace holdfast
