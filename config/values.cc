#include "config/values.h"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>

namespace holdfast {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr std::array<Unit, 6> time_units = {
    {{"w", 604'800'000}, {"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}}};
constexpr std::array<Unit, 5> size_units = {
    {{"TiB", 1ULL << 40}, {"GiB", 1ULL << 30}, {"MiB", 1ULL << 20}, {"KiB", 1ULL << 10}, {"B", 1}}};

constexpr std::uint64_t longest_ms = 100ULL * 366 * 86'400'000;

struct Quantity {
  std::uint64_t count;
  std::string_view unit;
};

// Digits, then whatever follows; nullopt without digits or when they overflow.
std::optional<Quantity> split(std::string_view text) {
  Quantity quantity{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), quantity.count);
  if (error != std::errc()) return std::nullopt;
  quantity.unit = text.substr(static_cast<std::size_t>(end - text.data()));
  return quantity;
}

template <std::size_t N>
std::optional<std::uint64_t> scaled(const Quantity& quantity, const std::array<Unit, N>& units) {
  for (const Unit& unit : units) {
    if (unit.name != quantity.unit) continue;
    if (quantity.count > std::numeric_limits<std::uint64_t>::max() / unit.factor) return std::nullopt;
    return quantity.count * unit.factor;
  }
  return std::nullopt;
}

template <std::size_t N>
std::string in_largest_unit(std::uint64_t value, const std::array<Unit, N>& units) {
  for (const Unit& unit : units)
    if (value % unit.factor == 0) return std::to_string(value / unit.factor) + std::string(unit.name);
  return std::to_string(value);
}

}  // namespace

std::optional<Millis> parse_duration(std::string_view text) {
  if (text == "0") return Millis{0};
  const auto quantity = split(text);
  const auto ms = quantity ? scaled(*quantity, time_units) : std::nullopt;
  if (!ms || *ms > longest_ms) return std::nullopt;
  return Millis{static_cast<Millis::rep>(*ms)};
}

std::string print_duration(Millis value) {
  if (value.count() == 0) return "0";
  const auto ms = static_cast<std::uint64_t>(value.count());
  // Weeks only where they were most likely written as such: "7d" reads better than "1w".
  for (const Unit& unit : time_units)
    if (unit.name != "w" && ms % unit.factor == 0)
      return std::to_string(ms / unit.factor) + std::string(unit.name);
  return std::to_string(ms) + "ms";
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  const auto quantity = split(text);
  if (!quantity) return std::nullopt;
  if (quantity->unit.empty()) return quantity->count;
  return scaled(*quantity, size_units);
}

std::string print_size(std::uint64_t bytes) { return bytes == 0 ? "0" : in_largest_unit(bytes, size_units); }

std::optional<std::uint64_t> parse_byte_rate(std::string_view text) {
  if (text == "0") return 0;
  if (!text.ends_with("B/s")) return std::nullopt;
  text.remove_suffix(2);
  return parse_size(text);
}

std::string print_byte_rate(std::uint64_t bytes_per_second) {
  return bytes_per_second == 0 ? "0" : print_size(bytes_per_second) + "/s";
}

std::optional<Rate> parse_rate(std::string_view text) {
  if (text.empty()) return Rate{};
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto count = split(text.substr(0, slash));
  if (!count || !count->unit.empty() || count->count == 0) return std::nullopt;
  std::string per(text.substr(slash + 1));
  if (!per.empty() && (per.front() < '0' || per.front() > '9')) per.insert(0, "1");
  const auto time = parse_duration(per);
  if (!time || time->count() == 0) return std::nullopt;
  return Rate{count->count, *time};
}

std::string print_rate(const Rate& rate) {
  if (rate.unlimited()) return "";
  std::string per = print_duration(rate.per);
  if (per.size() > 1 && per[0] == '1' && (per[1] < '0' || per[1] > '9')) per.erase(0, 1);
  return std::to_string(rate.count) + "/" + per;
}

std::optional<DiskReserve> parse_disk_reserve(std::string_view text) {
  if (!text.ends_with('%')) {
    const auto bytes = parse_size(text);
    if (!bytes) return std::nullopt;
    return DiskReserve{0, *bytes};
  }
  text.remove_suffix(1);
  double percent = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), percent, std::chars_format::fixed);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (!(percent >= 0 && percent <= 99)) return std::nullopt;
  return DiskReserve{percent, 0};
}

std::string print_disk_reserve(const DiskReserve& reserve) {
  if (reserve.bytes != 0) return print_size(reserve.bytes);
  char buffer[32];
  const auto result = std::to_chars(buffer, buffer + sizeof buffer, reserve.percent);
  return std::string(buffer, result.ptr) + "%";
}

std::optional<std::chrono::sys_days> parse_date(std::string_view text) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return std::nullopt;
  const auto part = [&](std::size_t at, std::size_t size) -> std::optional<std::uint64_t> {
    for (const char c : text.substr(at, size))
      if (c < '0' || c > '9') return std::nullopt;
    return split(text.substr(at, size))->count;
  };
  const auto year = part(0, 4), month = part(5, 2), day = part(8, 2);
  if (!year || !month || !day) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(*year)),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days(date);
}

std::string print_date(std::chrono::sys_days day) {
  const std::chrono::year_month_day date(day);
  const auto padded = [](unsigned n) { return (n < 10 ? "0" : "") + std::to_string(n); };
  std::string year = std::to_string(static_cast<int>(date.year()));
  if (year.size() < 4) year.insert(0, 4 - year.size(), '0');
  return year + "-" + padded(static_cast<unsigned>(date.month())) + "-" +
         padded(static_cast<unsigned>(date.day()));
}

}  // namespace holdfast
