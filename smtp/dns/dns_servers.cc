#include "smtp/dns/dns_servers.h"

#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>

#include "smtp/base/base_error.h"

namespace holdfast {
namespace {

constexpr std::uint16_t kDnsPort = 53;
constexpr std::size_t kMaxServers = 3;  // as the C library's MAXNS; each more makes a dead network slower
constexpr const char* kResolvConf = "/etc/resolv.conf";

Peer make_peer(const IpBytes& ip, std::uint16_t port) {
  Peer peer;
  peer.ip = ip;
  peer.port = port;
  return peer;
}

IpBytes bytes_of(const sockaddr& address) {
  IpBytes ip{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (address.sa_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, &address, sizeof v4);
    std::memcpy(ip.data() + 12, &v4.sin_addr, 4);
  } else {
    sockaddr_in6 v6;
    std::memcpy(&v6, &address, sizeof v6);
    std::memcpy(ip.data(), &v6.sin6_addr, 16);
  }
  return ip;
}

struct AddrinfoDeleter {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};

// The first address that the system knows for a name.
Result<IpBytes> resolve_by_system(const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* raw = nullptr;
  const int status = ::getaddrinfo(host.c_str(), nullptr, &hints, &raw);
  const std::unique_ptr<addrinfo, AddrinfoDeleter> list(raw);
  if (status != 0) return Error(BaseError::unreachable, "DNS server " + host + ": " + ::gai_strerror(status));
  for (const addrinfo* entry = list.get(); entry; entry = entry->ai_next) {
    if (entry->ai_family == AF_INET || entry->ai_family == AF_INET6) return bytes_of(*entry->ai_addr);
  }
  return Error(BaseError::unreachable, "DNS server " + host + " has no address");
}

bool is_loopback(const IpBytes& ip) {
  if (is_v4(ip)) return ip[12] == 127;
  static constexpr IpBytes kLoopback{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  return ip == kLoopback;
}

}  // namespace

std::vector<Peer> parse_resolv_conf(std::string_view text) {
  std::vector<Peer> servers;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    constexpr std::string_view kKey = "nameserver";
    if (!line.starts_with(kKey)) continue;
    line.remove_prefix(kKey.size());
    const auto begin = line.find_first_not_of(" \t");
    if (begin == 0 || begin == line.npos) continue;
    line.remove_prefix(begin);
    line = line.substr(0, line.find_first_of(" \t\r#;"));
    const auto ip = parse_ip(line);
    if (ip && servers.size() < kMaxServers) servers.push_back(make_peer(*ip, kDnsPort));
  }
  if (servers.empty()) servers.push_back(make_peer(*parse_ip("127.0.0.1"), kDnsPort));
  return servers;
}

bool believes_ad(DnssecTrust trust, const std::vector<Peer>& servers) {
  switch (trust) {
    case DnssecTrust::off: return false;
    case DnssecTrust::trust:
    case DnssecTrust::required: return true;
    case DnssecTrust::automatic: break;
  }
  return !servers.empty() &&
         std::all_of(servers.begin(), servers.end(), [](const Peer& peer) { return is_loopback(peer.ip); });
}

Result<DnsServers> find_dns_servers(const DnsSettings& settings) {
  DnsServers found;
  for (const auto& entry : settings.servers) {
    // An IPv6 address without a port needs no brackets.
    const auto plain = parse_ip(entry);
    const auto host_port =
        plain ? std::optional(HostPort{entry, kDnsPort}) : HostPort::parse(entry, kDnsPort);
    if (!host_port)
      return Error(BaseError::unreachable, "DNS server " + entry + ": neither address nor name");
    auto ip = parse_ip(host_port->host);
    if (!ip) {
      const auto resolved = resolve_by_system(host_port->host);
      if (!resolved) return resolved.error();
      ip = *resolved;
    }
    found.servers.push_back(make_peer(*ip, host_port->port));
  }
  if (found.servers.empty()) {
    std::ifstream file(kResolvConf);
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    found.servers = parse_resolv_conf(text);
  }
  found.believe_ad = believes_ad(settings.dnssec, found.servers);
  return found;
}

}  // namespace holdfast
