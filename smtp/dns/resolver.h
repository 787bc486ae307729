// smtp/dns/resolver.h — what the relay asks of DNS. Fakes are zone data (tests/fakes/zone_resolver.h).
//
// One query, one answer, CNAMEs followed (at most kMaxCnameHops). The answer keeps apart what callers must
// treat differently: the name does not exist, it has no such record, and nothing is known. Never throws for
// anything a server can send.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "config/network.h"
#include "smtp/base/asio.h"

namespace holdfast {

inline constexpr int kMaxCnameHops = 8;  // protocol.md: longer chains are loops or abuse

enum class RecordType : std::uint16_t {
  a = 1,
  cname = 5,
  soa = 6,
  ptr = 12,
  mx = 15,
  txt = 16,
  aaaa = 28,
  tlsa = 52
};

enum class DnsStatus {
  ok,              // records hold at least one record
  no_data,         // the name exists, but not with this type
  nx_domain,       // the name does not exist
  server_failure,  // SERVFAIL (also: bogus under DNSSEC), REFUSED, or an answer that cannot be parsed
  timed_out,       // no server answered in time
  cname_limit,     // the chain of aliases is too long or loops
};
const char* describe(DnsStatus status);
// Nothing is known: the caller waits rather than decides.
inline bool is_unknown(DnsStatus s) { return s == DnsStatus::server_failure || s == DnsStatus::timed_out; }

struct MxRecord {
  std::uint16_t preference = 0;
  std::string exchange;  // lower case, without trailing dot; "" is the null MX "." (RFC 7505)
};
// RFC 6698 section 2.1; data is binary.
struct TlsaRecord {
  std::uint8_t usage = 0;
  std::uint8_t selector = 0;
  std::uint8_t matching_type = 0;
  std::string data;
  auto operator<=>(const TlsaRecord&) const = default;
};
// A, AAAA: IpBytes. TXT: the strings of one record joined without a space. PTR: the name.
using RecordData = std::variant<IpBytes, MxRecord, TlsaRecord, std::string>;

struct DnsAnswer {
  DnsStatus status = DnsStatus::server_failure;
  // The AD bit from a resolver that `dns.dnssec` trusts: the whole chain of aliases and the records (or their
  // absence) are DNSSEC-secure. Never true by default.
  bool secure = false;
  std::chrono::seconds ttl{0};  // smallest of the chain; for negative answers the SOA minimum
  std::string name;             // the name at the end of the aliases; the name asked when there is none
  // True when `name` differs from the name asked and each alias on the way came with the AD bit.
  bool alias_secure = false;
  std::vector<RecordData> records;
};

class Resolver {
 public:
  virtual ~Resolver() = default;
  // `name` is in A-labels, lower case, without trailing dot ("_mta-sts.example.com").
  virtual asio::awaitable<DnsAnswer> query(std::string name, RecordType type) = 0;
};

// An IPv4 or IPv6 address that the network (not the operator) named: may we connect to it? Loopback, private,
// link-local, multicast, documentation and the other special-purpose ranges (RFC 6890) are not global.
bool is_global(const IpBytes& ip);

}  // namespace holdfast
