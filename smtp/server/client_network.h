// smtp/server/client_network.h — whom an address stands for: itself, or in IPv6 the /64 that one customer
// holds as a rule, who can use any address in it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string_view>

#include "config/network.h"

namespace holdfast {

inline IpBytes network_of(IpBytes ip) {
  const bool v4 = std::all_of(ip.begin(), ip.begin() + 10, [](std::uint8_t b) { return b == 0; }) &&
                  ip[10] == 0xFF && ip[11] == 0xFF;
  if (!v4) std::fill(ip.begin() + 8, ip.end(), std::uint8_t{0});
  return ip;
}

struct IpHash {
  std::size_t operator()(const IpBytes& ip) const noexcept {
    return std::hash<std::string_view>()(
        std::string_view(reinterpret_cast<const char*>(ip.data()), ip.size()));
  }
};

}  // namespace holdfast
