#include "smtp/base/stream.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>

namespace holdfast {
namespace {

constexpr std::array<std::uint8_t, 12> kMappedPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace

bool is_v4(const IpBytes& ip) { return std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), ip.begin()); }

std::string ip_text(const IpBytes& ip) {
  char buffer[INET6_ADDRSTRLEN] = {};
  const bool v4 = is_v4(ip);
  ::inet_ntop(v4 ? AF_INET : AF_INET6, ip.data() + (v4 ? 12 : 0), buffer, sizeof buffer);
  return buffer;
}

std::string Peer::text() const { return ip_text(ip); }

std::string Peer::literal() const { return (is_v4(ip) ? "[" : "[IPv6:") + ip_text(ip) + "]"; }

}  // namespace holdfast
