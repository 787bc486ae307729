// queue/checksum.h — CRC-32 (that of zlib and Ethernet) of what stands on the disk.
#pragma once

#include <cstdint>
#include <string_view>

namespace holdfast {

// Of what came `before` and `octets` behind it.
std::uint32_t checksum(std::string_view octets, std::uint32_t before = 0);

}  // namespace holdfast
