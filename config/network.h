// config/network.h — IP networks and HOST:PORT pairs as the operator writes them. Pure, no I/O.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast {

// An IPv6 address in network byte order; IPv4 as ::ffff:a.b.c.d.
using IpBytes = std::array<std::uint8_t, 16>;

// Reads "192.0.2.1" or "2001:db8::1" (without brackets or zone); nullopt for anything else.
std::optional<IpBytes> parse_ip(std::string_view text);

struct Network {
  IpBytes address{};
  int prefix = 128;  // bits, counted in the 128-bit form (an IPv4 /24 is 120)

  // "192.0.2.0/24", "2001:db8::/32" or a single address; nullopt when malformed or host bits are set.
  static std::optional<Network> parse(std::string_view text);
  bool contains(const IpBytes& ip) const;
  std::string text() const;
};

struct HostPort {
  std::string host;  // a name or an address, brackets removed
  std::uint16_t port = 0;

  // "host:25", "192.0.2.1:25", "[::1]:25"; without a port `default_port` is taken. nullopt when malformed.
  static std::optional<HostPort> parse(std::string_view text, std::uint16_t default_port);
  std::string text() const;  // brackets IPv6 addresses
  bool operator==(const HostPort&) const = default;
};

}  // namespace holdfast
