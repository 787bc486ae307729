// smtp/dns/dns_servers.h — which resolvers are asked, and whether their AD bit counts.
#pragma once

#include <string_view>
#include <vector>

#include "config/settings.h"
#include "smtp/base/result.h"
#include "smtp/base/stream.h"

namespace holdfast {

struct DnsServers {
  std::vector<Peer> servers;  // never empty
  // RFC 4035 section 4.9.3: the AD bit is worth what the path to the resolver is worth. `automatic` believes
  // it when every resolver is on loopback, `trust` and `required` always, `off` never.
  bool believe_ad = false;
};

// `dns.servers`, names among them resolved by the system; resolv.conf when empty. May block: call it at start
// and on reload, off the workers. Error: BaseError::unreachable naming the entry.
Result<DnsServers> find_dns_servers(const DnsSettings& settings);

// The nameserver lines of a resolv.conf; 127.0.0.1 when it has none, as resolv.conf(5) says. Pure.
std::vector<Peer> parse_resolv_conf(std::string_view text);
bool believes_ad(DnssecTrust trust, const std::vector<Peer>& servers);

}  // namespace holdfast
