#include "smtp/server/good_addresses.h"

namespace holdfast {

void GoodAddresses::add(const IpBytes& client_ip, SteadyTime now) {
  const IpBytes key = network_of(client_ip);
  if (seen_.size() >= kMost && !seen_.contains(key)) {
    std::erase_if(seen_, [&](const auto& entry) { return now - entry.second >= kLifetime; });
    // Whoever has that many good addresses can do without some; those stay that log in again.
    if (seen_.size() >= kMost) {
      bool drop = false;
      std::erase_if(seen_, [&](const auto&) { return drop = !drop; });
    }
  }
  seen_.insert_or_assign(key, now);
}

bool GoodAddresses::knows(const IpBytes& client_ip, SteadyTime now) const {
  const auto found = seen_.find(network_of(client_ip));
  return found != seen_.end() && now - found->second < kLifetime;
}

}  // namespace holdfast
