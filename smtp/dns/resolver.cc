#include "smtp/dns/resolver.h"

#include <algorithm>

namespace holdfast {
namespace {

struct Block {
  std::array<std::uint8_t, 16> address;
  int bits;
};

bool starts_with(const std::uint8_t* ip, const Block& block) {
  const int whole = block.bits / 8;
  if (!std::equal(ip, ip + whole, block.address.begin())) return false;
  const int rest = block.bits % 8;
  if (rest == 0) return true;
  const unsigned mask = 0xffU << (8 - rest);
  return ((ip[whole] ^ block.address[static_cast<std::size_t>(whole)]) & mask & 0xff) == 0;
}

// IANA's special-purpose registry for IPv4 (RFC 6890 and its updates), with multicast and the reserved class
// E.
constexpr Block kNotGlobalV4[] = {
    {{0}, 8},              // this network
    {{10}, 8},             // private
    {{100, 64}, 10},       // shared between carrier and customer, RFC 6598
    {{127}, 8},            // loopback
    {{169, 254}, 16},      // link-local
    {{172, 16}, 12},       // private
    {{192, 0, 0}, 24},     // protocol assignments
    {{192, 0, 2}, 24},     // documentation
    {{192, 88, 99}, 24},   // 6to4 relays, RFC 7526
    {{192, 168}, 16},      // private
    {{198, 18}, 15},       // benchmarks
    {{198, 51, 100}, 24},  // documentation
    {{203, 0, 113}, 24},   // documentation
    {{224}, 4},            // multicast
    {{240}, 4},            // reserved, broadcast
};

// Within 2000::/3, the only space that global unicast addresses come from.
constexpr Block kNotGlobalV6[] = {
    {{0x20, 0x01, 0x00}, 23},        // protocol assignments: Teredo, benchmarks, ORCHID
    {{0x20, 0x01, 0x0d, 0xb8}, 32},  // documentation
    {{0x3f, 0xff, 0x00}, 20},        // documentation, RFC 9637
};

constexpr Block kMapped{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96};
constexpr Block kNat64{{0x00, 0x64, 0xff, 0x9b}, 96};  // RFC 6052: an IPv4 address in the last four octets
constexpr Block k6to4{{0x20, 0x02}, 16};               // RFC 3056: an IPv4 address in octets 2 to 5
constexpr Block kGlobalUnicast{{0x20}, 3};

bool is_global_v4(const std::uint8_t* ip) {
  return std::none_of(std::begin(kNotGlobalV4), std::end(kNotGlobalV4),
                      [&](const Block& block) { return starts_with(ip, block); });
}

}  // namespace

const char* describe(DnsStatus status) {
  switch (status) {
    case DnsStatus::ok: return "found";
    case DnsStatus::no_data: return "the name has no such record";
    case DnsStatus::nx_domain: return "the name does not exist";
    case DnsStatus::server_failure: return "the name servers could not answer";
    case DnsStatus::timed_out: return "no name server answered in time";
    case DnsStatus::cname_limit: return "the chain of aliases is too long or loops";
  }
  return "unknown";
}

bool is_global(const IpBytes& ip) {
  // An address that a translator or tunnel turns into an IPv4 one is as global as that.
  if (starts_with(ip.data(), kMapped) || starts_with(ip.data(), kNat64)) return is_global_v4(ip.data() + 12);
  if (starts_with(ip.data(), k6to4)) return is_global_v4(ip.data() + 2);
  if (!starts_with(ip.data(), kGlobalUnicast)) return false;
  return std::none_of(std::begin(kNotGlobalV6), std::end(kNotGlobalV6),
                      [&](const Block& block) { return starts_with(ip.data(), block); });
}

}  // namespace holdfast
