// tests/world/dns_wire.h — DNS messages as a server reads and writes them. RFC 1035, 6891. Pure, no I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::world {

enum DnsType : std::uint16_t {
  kA = 1,
  kNs = 2,
  kCname = 5,
  kSoa = 6,
  kPtr = 12,
  kMx = 15,
  kTxt = 16,
  kAaaa = 28,
  kOpt = 41,
  kTlsa = 52
};
// "MX" -> 15; throws std::invalid_argument for a type that the world does not know.
std::uint16_t dns_type(std::string_view name);

enum class Rcode : std::uint8_t {
  no_error = 0,
  formerr = 1,
  servfail = 2,
  nxdomain = 3,
  notimp = 4,
  refused = 5
};

struct DnsQuery {
  std::uint16_t id = 0;
  bool recursion_desired = false, checking_disabled = false, authentic_wanted = false, dnssec_ok = false;
  bool edns = false;
  std::size_t payload = 512;  // what the client takes over UDP
  std::string name;           // lower case, no trailing dot
  std::uint16_t type = 0;
  std::string question;  // as it came: name, type and class
};

struct DnsRecord {
  std::string name;
  std::uint16_t type = 0;
  std::uint32_t ttl = 0;
  std::string data;  // RDATA on the wire
};

struct DnsAnswer {
  Rcode rcode = Rcode::no_error;
  bool authentic = false;
  bool truncated = false;
  std::vector<DnsRecord> answers{}, authority{};
};

// nullopt when it is no well-formed query with exactly one question.
std::optional<DnsQuery> parse_query(std::string_view message);
std::string encode(const DnsQuery& query, const DnsAnswer& answer);

// RDATA from its zone-file form: "10 mx.example", "192.0.2.1", "3 1 1 ab12…". A TXT value is one text, cut
// into strings of 255 octets.
std::string rdata(std::uint16_t type, std::string_view text);
std::string txt_rdata(const std::vector<std::string>& strings);
std::string wire_name(std::string_view name);
std::string lower_name(std::string_view name);  // lower case, without a trailing dot

}  // namespace holdfast::world
