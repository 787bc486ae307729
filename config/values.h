// config/values.h — how values with a unit are written in the configuration and the users file. Pure, no I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "config/settings.h"

namespace holdfast {

// "250ms", "90s", "5m", "4h", "5d", "2w"; a plain "0" is no time. nullopt when malformed or beyond 100 years.
std::optional<Millis> parse_duration(std::string_view text);
std::string print_duration(Millis value);  // in the largest unit that divides it: "5m"

// Bytes: "512", "100B", "64KiB", "25MiB", "1GiB", "2TiB". Decimal units ("kB") are refused as ambiguous.
std::optional<std::uint64_t> parse_size(std::string_view text);
std::string print_size(std::uint64_t bytes);

// Bytes per second: "100B/s", "1KiB/s"; "0" is no minimum.
std::optional<std::uint64_t> parse_byte_rate(std::string_view text);
std::string print_byte_rate(std::uint64_t bytes_per_second);

// "2000/h", "600/m", "10/10m"; "" is unlimited. A count of 0 is refused: it would block or allow everything,
// depending on who reads it.
std::optional<Rate> parse_rate(std::string_view text);
std::string print_rate(const Rate& rate);

// "5%" (0 to 99) or a size.
std::optional<DiskReserve> parse_disk_reserve(std::string_view text);
std::string print_disk_reserve(const DiskReserve& reserve);

// "2026-12-01"
std::optional<std::chrono::sys_days> parse_date(std::string_view text);
std::string print_date(std::chrono::sys_days day);

}  // namespace holdfast
