#include "smtp/server/volume_watch.h"

#include <algorithm>

namespace holdfast {
namespace {

constexpr std::uint64_t kHoursPerDay = 24;

}  // namespace

// Closes the running hour, and forgets the days that are too long ago.
void VolumeWatch::turn_to(History& history, std::uint64_t hour) {
  if (hour == history.hour) return;
  std::uint64_t& busiest = history.busiest[history.day % kDays];
  busiest = std::max(busiest, history.recipients);
  const std::uint64_t today = hour / kHoursPerDay;
  for (std::uint64_t day = history.day + 1; day <= std::min(today, history.day + kDays); ++day)
    history.busiest[day % kDays] = 0;
  history.day = today;
  history.hour = hour;
  history.recipients = 0;
  history.told = false;
}

std::optional<VolumeWatch::Unusual> VolumeWatch::count(const std::string& user, std::uint64_t recipients,
                                                       unsigned factor, SteadyTime now) {
  const auto hour = static_cast<std::uint64_t>(
      std::max<std::int64_t>(0, std::chrono::floor<std::chrono::hours>(now - start_).count()));
  const std::lock_guard lock(mutex_);
  const auto [found, fresh] = users_.try_emplace(user);
  History& history = found->second;
  if (fresh) {
    history.hour = hour;
    history.day = hour / kHoursPerDay;
  }
  turn_to(history, hour);
  history.recipients += recipients;
  if (factor == 0 || history.told) return std::nullopt;
  const std::uint64_t busiest = *std::max_element(history.busiest.begin(), history.busiest.end());
  const std::uint64_t floor = hour < kHoursPerDay ? kFloorOfFirstDay : kFloor;
  if (history.recipients <= std::max(floor, busiest * factor)) return std::nullopt;
  history.told = true;
  return Unusual{history.recipients, busiest};
}

}  // namespace holdfast
