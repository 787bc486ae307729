#include "smtp/base/stream.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>

namespace holdfast {
namespace {

constexpr std::array<std::uint8_t, 12> kMappedPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace

bool is_v4(const IpBytes& ip) { return std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), ip.begin()); }

std::string ip_text(const IpBytes& ip) {
  char buffer[INET6_ADDRSTRLEN] = {};
  if (!is_v4(ip)) {
    ::inet_ntop(AF_INET6, ip.data(), buffer, sizeof buffer);
    return buffer;
  }
  char* end = buffer;  // by hand: the C library prints with a format, four times a message
  for (std::size_t i = 12; i < ip.size(); ++i) {
    if (i > 12) *end++ = '.';
    end = std::to_chars(end, buffer + sizeof buffer, ip[i]).ptr;
  }
  return std::string(buffer, end);
}

std::string Peer::text() const { return ip_text(ip); }

std::string Peer::literal() const { return (is_v4(ip) ? "[" : "[IPv6:") + ip_text(ip) + "]"; }

}  // namespace holdfast
