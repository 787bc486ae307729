// mta/page/traffic.h — how much came and went in each of the last sixty minutes. Pure: counters and time are
// arguments.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <vector>

#include "smtp/base/clock.h"

namespace holdfast {

struct TrafficMinute {
  std::uint64_t accepted = 0, delivered = 0;
};

class TrafficHistory {
 public:
  static constexpr std::size_t kMinutes = 60;
  static constexpr auto kEvery = std::chrono::seconds(5);  // how often note() is called by a clock

  // Counters as they stand now; they never fall while the relay runs.
  void note(SteadyTime now, std::uint64_t accepted, std::uint64_t delivered);

  // The last minute first; at most kMinutes, and no more than have begun since the first note().
  std::vector<TrafficMinute> minutes(SteadyTime now) const;

 private:
  struct Sample {
    SteadyTime at;
    TrafficMinute total;
  };
  TrafficMinute total_at(SteadyTime at) const;
  std::deque<Sample> samples_;  // the oldest first
};

}  // namespace holdfast
