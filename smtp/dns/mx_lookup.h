// smtp/dns/mx_lookup.h — where mail for a domain goes: RFC 5321 section 5.1, RFC 7505, RFC 7672
// section 2.2.1.
#pragma once

#include <string>
#include <vector>

#include "config/settings.h"
#include "smtp/base/domain_name.h"
#include "smtp/base/random.h"
#include "smtp/dns/resolver.h"

namespace holdfast {

inline constexpr std::size_t kMaxAddressesPerHost = 5;
inline constexpr std::size_t kMaxMxHosts = 20;  // a domain with more is cut to the most preferred ones

struct MxHost {
  DomainName name;
  std::uint16_t preference = 0;
};

enum class MxVerdict {
  ok,         // hosts is not empty
  null_mx,    // the domain accepts no mail: permanent, 5.1.10
  no_domain,  // the domain does not exist: permanent, 5.1.2
  no_hosts,  // MX records that name no usable host, or we are the best MX ourselves: permanent, 5.4.4 / 5.4.6
  loop,      // our own host name is the most preferred MX: permanent, 5.4.6
  unknown,   // DNS could not tell: wait, 4.4.3
};

struct MxSet {
  DomainName domain;
  MxVerdict verdict = MxVerdict::unknown;
  std::string detail;         // why the verdict is not ok, for people
  bool secure = false;        // the MX RRset (or its secure absence) is DNSSEC-secure
  bool implicit = false;      // no MX record; the domain itself is the host
  std::vector<MxHost> hosts;  // by preference, equal ones shuffled, cut before our own preference
};

// The rules on an answer that is there; `own_names` are names of this relay. Pure.
MxSet order_mx(const DomainName& domain, const DnsAnswer& mx, const std::vector<DomainName>& own_names,
               Random& random);

asio::awaitable<MxSet> lookup_mx(Resolver& resolver, DomainName domain, std::vector<DomainName> own_names,
                                 Random& random);

struct HostAddresses {
  DnsStatus status = DnsStatus::server_failure;  // ok when at least one address was found
  bool secure = false;                           // every address answer that was used is DNSSEC-secure
  std::string canonical;  // the name at the end of the aliases; the host's own when the answers disagree
  // The host's name is an alias, and the zone that says so is DNSSEC-secure, wherever the alias leads.
  bool alias_secure = false;
  // Not ok: the host's name is an alias, and whether a secure one could not be found out.
  DnsStatus alias_status = DnsStatus::ok;
  std::vector<IpBytes> addresses;  // IPv6 first when `automatic`, at most kMaxAddressesPerHost
};

asio::awaitable<HostAddresses> lookup_addresses(Resolver& resolver, DomainName host, IpFamily family);

}  // namespace holdfast
