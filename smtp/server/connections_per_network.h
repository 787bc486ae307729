// smtp/server/connections_per_network.h — how many connections a client has.
#pragma once

#include <algorithm>
#include <unordered_map>
#include <vector>

#include "smtp/server/client_network.h"

namespace holdfast {

// Whom the connections of `ip` count for: a stranger in IPv6 for its whole /64, since one customer holds so
// many addresses that a limit on each of them would be none. In a trusted network each machine counts for
// itself: nobody there takes addresses to get around a limit, and the machines of one segment share a /64.
inline IpBytes client_of(const IpBytes& ip, const std::vector<Network>& trusted) {
  const bool known = std::any_of(trusted.begin(), trusted.end(),
                                 [&](const Network& network) { return network.contains(ip); });
  return known ? ip : network_of(ip);
}

// Holds an entry per client with a connection, so the listener's connection limit bounds it.
class ConnectionsPerNetwork {
 public:
  // How many there are with this one.
  unsigned enter(const IpBytes& client) { return ++open_[client]; }
  void leave(const IpBytes& client) {
    const auto found = open_.find(client);
    if (found != open_.end() && --found->second == 0) open_.erase(found);
  }
  std::size_t clients() const { return open_.size(); }

 private:
  std::unordered_map<IpBytes, unsigned, IpHash> open_;
};

}  // namespace holdfast
