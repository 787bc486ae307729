#include "config/network.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace holdfast {
namespace {

constexpr IpBytes mapped_prefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0};
constexpr int mapped_bits = 96;

bool is_mapped(const IpBytes& ip) { return std::equal(ip.begin(), ip.begin() + 12, mapped_prefix.begin()); }

std::string ip_text(const IpBytes& ip, bool as_v4) {
  char buffer[INET6_ADDRSTRLEN] = {};
  inet_ntop(as_v4 ? AF_INET : AF_INET6, as_v4 ? ip.data() + 12 : ip.data(), buffer, sizeof buffer);
  return buffer;
}

template <class Number>
std::optional<Number> number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// The bits of `ip` from `prefix` on are all zero.
bool host_bits_clear(const IpBytes& ip, int prefix) {
  for (int bit = prefix; bit < 128; ++bit)
    if (ip[static_cast<std::size_t>(bit / 8)] & (0x80 >> (bit % 8))) return false;
  return true;
}

// Letters, digits, hyphen, underscore and UTF-8, in labels parted by dots. Names are judged in full by
// DomainName.
bool is_plausible_host(std::string_view host) {
  if (host.empty() || host.size() > 253 || host.front() == '.') return false;
  char before = '.';
  for (const char c : host) {
    const auto u = static_cast<unsigned char>(c);
    const bool letter = (u | 0x20) >= 'a' && (u | 0x20) <= 'z';
    const bool known = letter || (u >= '0' && u <= '9') || c == '-' || c == '_' || u >= 0x80;
    if (!known && (c != '.' || before == '.')) return false;
    before = c;
  }
  return true;
}

}  // namespace

std::optional<IpBytes> parse_ip(std::string_view text) {
  const std::string terminated(text);
  if (terminated.find('\0') != std::string::npos) return std::nullopt;
  IpBytes ip = mapped_prefix;
  if (inet_pton(AF_INET, terminated.c_str(), ip.data() + 12) == 1) return ip;
  if (inet_pton(AF_INET6, terminated.c_str(), ip.data()) == 1) return ip;
  return std::nullopt;
}

std::optional<Network> Network::parse(std::string_view text) {
  const auto slash = text.find('/');
  const auto ip = parse_ip(text.substr(0, slash));
  if (!ip) return std::nullopt;
  Network network{*ip, 128};
  if (slash != std::string_view::npos) {
    const bool v4 = text.substr(0, slash).find(':') == std::string_view::npos;
    const auto bits = number<int>(text.substr(slash + 1));
    if (!bits || *bits < 0 || *bits > (v4 ? 32 : 128)) return std::nullopt;
    network.prefix = *bits + (v4 ? mapped_bits : 0);
  }
  if (!host_bits_clear(network.address, network.prefix)) return std::nullopt;
  return network;
}

bool Network::contains(const IpBytes& ip) const {
  const auto whole = static_cast<std::size_t>(prefix / 8);
  if (!std::equal(ip.begin(), ip.begin() + static_cast<std::ptrdiff_t>(whole), address.begin())) return false;
  if (prefix % 8 == 0) return true;
  const auto mask = static_cast<std::uint8_t>(0xff << (8 - prefix % 8));
  return (ip[whole] & mask) == (address[whole] & mask);
}

std::string Network::text() const {
  const bool v4 = is_mapped(address) && prefix >= mapped_bits;
  const int bits = v4 ? prefix - mapped_bits : prefix;
  std::string out = ip_text(address, v4);
  if (bits != (v4 ? 32 : 128)) out += "/" + std::to_string(bits);
  return out;
}

std::optional<HostPort> HostPort::parse(std::string_view text, std::uint16_t default_port) {
  HostPort result{"", default_port};
  std::string_view rest;
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string_view::npos) return std::nullopt;
    result.host = text.substr(1, close - 1);
    if (result.host.find(':') == std::string::npos || !parse_ip(result.host)) return std::nullopt;
    rest = text.substr(close + 1);
  } else {
    const auto colon = text.find(':');
    result.host = text.substr(0, colon);
    if (!is_plausible_host(result.host)) return std::nullopt;
    if (colon != std::string_view::npos) rest = text.substr(colon);
  }
  if (rest.empty()) return result;
  const auto port = rest.front() == ':' ? number<std::uint16_t>(rest.substr(1)) : std::nullopt;
  if (!port) return std::nullopt;
  result.port = *port;
  return result;
}

std::string HostPort::text() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

}  // namespace holdfast
