// smtp/server/connections_per_network.h — how many connections a client has: in IPv6 its whole /64, since one
// customer holds so many addresses that a limit on each of them would be none.
#pragma once

#include <unordered_map>

#include "smtp/server/client_network.h"

namespace holdfast {

// Holds an entry per network with a connection, so the listener's connection limit bounds it.
class ConnectionsPerNetwork {
 public:
  // How many there are with this one.
  unsigned enter(const IpBytes& ip) { return ++open_[network_of(ip)]; }
  void leave(const IpBytes& ip) {
    const auto found = open_.find(network_of(ip));
    if (found != open_.end() && --found->second == 0) open_.erase(found);
  }
  std::size_t networks() const { return open_.size(); }

 private:
  std::unordered_map<IpBytes, unsigned, IpHash> open_;
};

}  // namespace holdfast
