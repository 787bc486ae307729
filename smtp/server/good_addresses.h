// smtp/server/good_addresses.h — addresses from which somebody has logged in lately. Pure.
//
// Under a flood of guesses from many addresses, those that guess have never been right: places kept for the
// others let clients in that are known, whatever the flood does. In memory; an IPv6 /64 counts as one.
#pragma once

#include <cstddef>
#include <unordered_map>

#include "config/network.h"
#include "smtp/base/clock.h"
#include "smtp/server/client_network.h"

namespace holdfast {

class GoodAddresses {
 public:
  static constexpr std::size_t kMost = 16384;  // about 1 MiB
  static constexpr Duration kLifetime = std::chrono::hours(24 * 7);

  void add(const IpBytes& client_ip, SteadyTime now);
  bool knows(const IpBytes& client_ip, SteadyTime now) const;
  std::size_t size() const { return seen_.size(); }

 private:
  std::unordered_map<IpBytes, SteadyTime, IpHash> seen_;  // network to the last login
};

}  // namespace holdfast
