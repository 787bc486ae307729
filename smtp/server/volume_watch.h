// smtp/server/volume_watch.h — tells when a user sends unusually much: a stolen password shows there first.
// Pure.
//
// Recipients are counted per user and hour. Unusual is an hour in which they are more than `factor` times
// those of the user's busiest hour of the last seven days, and more than kFloor. It is told once per hour and
// user, and counts as usual from then on: whoever saw it and left the user alone has said yes to it.
//
// The history is of this process. In its first day it knows little, so the floor is kFloorOfFirstDay.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "smtp/base/clock.h"

namespace holdfast {

// Thread-safe. As large as the number of users that have sent.
class VolumeWatch {
 public:
  static constexpr std::uint64_t kFloor = 100;
  static constexpr std::uint64_t kFloorOfFirstDay = 1000;

  explicit VolumeWatch(SteadyTime start) : start_(start) {}

  struct Unusual {
    std::uint64_t recipients = 0;  // of this hour so far
    std::uint64_t busiest = 0;     // of the busiest hour before
  };
  // Counts, and says so when this makes the hour unusual. `factor` 0: never.
  std::optional<Unusual> count(const std::string& user, std::uint64_t recipients, unsigned factor,
                               SteadyTime now);

 private:
  static constexpr std::uint64_t kDays = 7;
  struct History {
    std::uint64_t hour = 0;        // the running one, counted from start_
    std::uint64_t recipients = 0;  // in it
    bool told = false;
    std::array<std::uint64_t, kDays> busiest{};  // hour of each day that is over, by day modulo kDays
    std::uint64_t day = 0;                       // the last one with an entry
  };
  static void turn_to(History& history, std::uint64_t hour);

  const SteadyTime start_;
  std::mutex mutex_;
  std::unordered_map<std::string, History> users_;
};

}  // namespace holdfast
