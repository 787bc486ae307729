#include "smtp/dns/mx_lookup.h"

#include <algorithm>
#include <set>

#include "smtp/base/stream.h"

namespace holdfast {
namespace {

bool is_own(const DomainName& name, const std::vector<DomainName>& own_names) {
  return std::find(own_names.begin(), own_names.end(), name) != own_names.end();
}

MxSet with_verdict(MxSet set, MxVerdict verdict, std::string detail) {
  set.verdict = verdict;
  set.detail = std::move(detail);
  set.hosts.clear();
  return set;
}

// RFC 5321 section 5.1: without any MX the domain itself is the host.
MxSet implicit_mx(MxSet set, const std::vector<DomainName>& own_names) {
  set.implicit = true;
  if (is_own(set.domain, own_names)) {
    const std::string detail = set.domain.text() + " has no MX record and is this relay's own name";
    return with_verdict(std::move(set), MxVerdict::loop, detail);
  }
  MxHost host;
  host.name = set.domain;
  set.hosts.push_back(std::move(host));
  set.verdict = MxVerdict::ok;
  return set;
}

struct Usable {
  std::vector<MxHost> hosts;  // by preference, each name once
  bool null_mx = false;       // there is a "." among them
  std::string unusable;       // the first exchange that is no host name
};

Usable usable_hosts(const DnsAnswer& answer) {
  Usable usable;
  for (const auto& record : answer.records) {
    const auto* mx = std::get_if<MxRecord>(&record);
    if (!mx) continue;
    if (mx->exchange.empty()) {
      usable.null_mx = true;
      continue;
    }
    auto name = DomainName::parse(mx->exchange);
    if (!name) {
      if (usable.unusable.empty()) usable.unusable = mx->exchange;
      continue;
    }
    MxHost host;
    host.name = std::move(*name);
    host.preference = mx->preference;
    usable.hosts.push_back(std::move(host));
  }
  std::stable_sort(usable.hosts.begin(), usable.hosts.end(),
                   [](const MxHost& a, const MxHost& b) { return a.preference < b.preference; });
  std::set<DomainName> seen;
  std::erase_if(usable.hosts, [&](const MxHost& host) { return !seen.insert(host.name).second; });
  return usable;
}

// RFC 5321 section 5.1: hosts of one preference share the load.
void shuffle_equals(std::vector<MxHost>& hosts, Random& random) {
  for (std::size_t begin = 0; begin < hosts.size();) {
    std::size_t end = begin;
    while (end < hosts.size() && hosts[end].preference == hosts[begin].preference) ++end;
    for (std::size_t i = end - 1; i > begin; --i) {
      const auto j = begin + static_cast<std::size_t>(random.below(i - begin + 1));
      if (i != j) std::swap(hosts[i], hosts[j]);
    }
    begin = end;
  }
}

std::string not_known(const DomainName& domain, DnsStatus status) {
  return "MX of " + domain.text() + ": " + describe(status);
}

// Up to kMaxAddressesPerHost of both families, IPv6 first; neither crowds the other out.
std::vector<IpBytes> merge(const std::vector<IpBytes>& v6, const std::vector<IpBytes>& v4) {
  constexpr std::size_t kShareOfV6 = 3;
  const std::size_t for_v4 =
      std::min(v4.size(), std::max(kMaxAddressesPerHost - kShareOfV6,
                                   kMaxAddressesPerHost - std::min(v6.size(), kMaxAddressesPerHost)));
  const std::size_t for_v6 = std::min(v6.size(), kMaxAddressesPerHost - for_v4);
  std::vector<IpBytes> all(v6.begin(), v6.begin() + static_cast<std::ptrdiff_t>(for_v6));
  all.insert(all.end(), v4.begin(), v4.begin() + static_cast<std::ptrdiff_t>(for_v4));
  return all;
}

std::vector<IpBytes> addresses_of(const DnsAnswer& answer) {
  std::vector<IpBytes> found;
  for (const auto& record : answer.records) {
    if (const auto* ip = std::get_if<IpBytes>(&record)) found.push_back(*ip);
  }
  return found;
}

// The status of a host without addresses: nothing is decided while one of the answers is unknown.
DnsStatus combined(const std::vector<DnsAnswer>& answers) {
  for (const auto& answer : answers) {
    if (is_unknown(answer.status)) return answer.status;
  }
  for (const auto status : {DnsStatus::cname_limit, DnsStatus::no_data}) {
    for (const auto& answer : answers) {
      if (answer.status == status) return status;
    }
  }
  return answers.empty() ? DnsStatus::server_failure : answers.front().status;
}

asio::awaitable<void> ask_about_alias(Resolver& resolver, const DomainName& host, HostAddresses& result) {
  const auto alias = co_await resolver.query(host.text(), RecordType::cname);
  const bool denied = alias.status == DnsStatus::no_data || alias.status == DnsStatus::nx_domain;
  if (alias.status == DnsStatus::ok || denied) {
    // A signed zone that knows of no alias any more still answers for the host's own name.
    result.alias_secure = alias.secure;
  } else {
    result.alias_status = alias.status;
  }
}

}  // namespace

MxSet order_mx(const DomainName& domain, const DnsAnswer& mx, const std::vector<DomainName>& own_names,
               Random& random) {
  MxSet set;
  set.domain = domain;
  set.secure = mx.secure;
  switch (mx.status) {
    case DnsStatus::ok: break;
    case DnsStatus::no_data: return implicit_mx(std::move(set), own_names);
    case DnsStatus::nx_domain:
      return with_verdict(std::move(set), MxVerdict::no_domain,
                          "the domain " + domain.text() + " does not exist");
    case DnsStatus::server_failure:
    case DnsStatus::timed_out:
    case DnsStatus::cname_limit:
      return with_verdict(std::move(set), MxVerdict::unknown, not_known(domain, mx.status));
  }

  auto usable = usable_hosts(mx);
  if (usable.hosts.empty()) {
    // RFC 7505 section 3: a null MX stands alone. Beside real hosts it says nothing; beside names that are
    // none it is still the only thing said.
    if (usable.null_mx) {
      return with_verdict(std::move(set), MxVerdict::null_mx, domain.text() + " accepts no mail (null MX)");
    }
    return with_verdict(std::move(set), MxVerdict::no_hosts,
                        "no MX of " + domain.text() + " is a host name: " + usable.unusable);
  }
  set.hosts = std::move(usable.hosts);
  const auto own = std::find_if(set.hosts.begin(), set.hosts.end(),
                                [&](const MxHost& host) { return is_own(host.name, own_names); });
  if (own != set.hosts.end()) {
    // RFC 5321 section 5.1: ourselves, and everything that is not better than ourselves, goes.
    const auto limit = own->preference;
    const std::string name = own->name.text();
    std::erase_if(set.hosts, [&](const MxHost& host) { return host.preference >= limit; });
    if (set.hosts.empty()) {
      return with_verdict(
          std::move(set), MxVerdict::loop,
          "mail for " + domain.text() + " would come back: its best MX is this relay (" + name + ")");
    }
  }
  shuffle_equals(set.hosts, random);
  if (set.hosts.size() > kMaxMxHosts) set.hosts.resize(kMaxMxHosts);
  set.verdict = MxVerdict::ok;
  return set;
}

asio::awaitable<MxSet> lookup_mx(Resolver& resolver, DomainName domain, std::vector<DomainName> own_names,
                                 Random& random) {
  const auto answer = co_await resolver.query(domain.text(), RecordType::mx);
  co_return order_mx(domain, answer, own_names, random);
}

asio::awaitable<HostAddresses> lookup_addresses(Resolver& resolver, DomainName host, IpFamily family) {
  HostAddresses result;
  result.canonical = host.text();
  std::vector<DnsAnswer> answers;
  if (family != IpFamily::v4) answers.push_back(co_await resolver.query(host.text(), RecordType::aaaa));
  if (family != IpFamily::v6) answers.push_back(co_await resolver.query(host.text(), RecordType::a));

  std::vector<IpBytes> v6, v4;
  bool first = true, aliased = false;
  for (const auto& answer : answers) {
    if (answer.status != DnsStatus::ok) continue;
    for (const auto& ip : addresses_of(answer)) (is_v4(ip) ? v4 : v6).push_back(ip);
    result.secure = answer.secure && (first || result.secure);
    aliased = aliased || answer.name != host.text();
    result.alias_secure = result.alias_secure || answer.alias_secure;
    // Two answers that disagree on the name at the end leave no canonical name to rely on.
    result.canonical = first || answer.name == result.canonical ? answer.name : host.text();
    first = false;
  }
  // A validating server sets AD only when the whole chain is secure. Whether the alias itself is, into an
  // unsigned zone, takes a question of its own (RFC 7672 section 2.2.2). It is asked wherever the answers
  // lead: whoever answers for the unsigned end must not be able to prevent it.
  if (aliased && !result.secure && !result.alias_secure) co_await ask_about_alias(resolver, host, result);
  result.addresses = merge(v6, v4);
  result.status = result.addresses.empty() ? combined(answers) : DnsStatus::ok;
  if (result.addresses.empty()) result.secure = false;
  co_return result;
}

}  // namespace holdfast
