// config/units.h — octets and times as the schema counts them.
#pragma once

#include <chrono>
#include <cstdint>

namespace holdfast {

inline constexpr std::uint64_t KiB = 1024, MiB = 1024 * KiB, GiB = 1024 * MiB, TiB = 1024 * GiB;
inline constexpr std::chrono::hours kOneDay{24};

}  // namespace holdfast
