#include "queue/next_hop.h"

#include <algorithm>

#include "smtp/wire/reply.h"

namespace holdfast {
namespace {

TlsVersion version_of(const std::string& text) {
  if (text == "1.3") return TlsVersion::tls13;
  return text == "1.2" ? TlsVersion::tls12 : TlsVersion::none;
}

// "[192.0.2.1]", "[IPv6:2001:db8::1]" (RFC 5321 section 4.1.3).
std::optional<IpBytes> address_literal(std::string_view domain) {
  if (domain.size() < 3 || domain.front() != '[' || domain.back() != ']') return std::nullopt;
  std::string_view inner = domain.substr(1, domain.size() - 2);
  const std::string_view tag = "IPv6:";
  const bool v6 =
      inner.size() > tag.size() && std::equal(tag.begin(), tag.end(), inner.begin(),
                                              [](char a, char b) { return (a | 0x20) == (b | 0x20); });
  if (v6) inner.remove_prefix(tag.size());
  return parse_ip(inner);
}

std::vector<DomainName> own_names(const Settings& settings) {
  std::vector<DomainName> own;
  if (auto name = DomainName::parse(settings.hostname)) own.push_back(*name);
  for (const auto& source : settings.sources)
    if (auto name = DomainName::parse(source.hostname)) own.push_back(*name);
  return own;
}

RouteTlsDemand demand_of(const RouteSettings& route, const Hop& hop) {
  RouteTlsDemand demand;
  demand.tls = route.tls;
  demand.implicit_tls = hop.implicit_tls;
  demand.min_version = version_of(route.min_version);
  demand.password = !route.username.empty();
  for (const std::string& cipher : route.ciphers)
    demand.ciphers += (demand.ciphers.empty() ? "" : ":") + cipher;
  return demand;
}

}  // namespace

std::vector<Hop> hops_of(const RouteSettings* route, std::string_view domain, const Settings& settings) {
  std::vector<Hop> out;
  if (route == nullptr) {
    Hop hop;
    hop.port = settings.delivery.port;
    hop.literal = address_literal(domain);
    hop.lookup_mx = !hop.literal;
    if (auto name = DomainName::parse(domain)) hop.name = *name;
    out.push_back(std::move(hop));
    return out;
  }
  for (const NextHop& via : route->via) {
    Hop hop;
    hop.port = via.target.port != 0 ? via.target.port : settings.delivery.port;
    hop.implicit_tls = via.implicit_tls;
    hop.literal = parse_ip(via.target.host);
    hop.lookup_mx = via.kind == NextHop::Kind::mx && !hop.literal;
    if (auto name = DomainName::parse(via.target.host)) hop.name = *name;
    out.push_back(std::move(hop));
  }
  return out;
}

asio::awaitable<MxSet> mx_of(Resolver& resolver, Random& random, SettingsPtr settings, Hop hop,
                             std::string domain) {
  MxSet set;
  set.domain = hop.name;
  if (hop.lookup_mx && !hop.name.empty()) {
    std::vector<DomainName> own = own_names(*settings);
    co_return co_await lookup_mx(resolver, hop.name, std::move(own), random);
  }
  if (hop.name.empty() && !hop.literal) {
    set.verdict = MxVerdict::no_domain;
    set.detail = "not a domain name: " + sanitise(domain);
    co_return set;
  }
  MxHost host;
  host.name = hop.name;
  set.verdict = MxVerdict::ok;
  set.hosts.push_back(host);
  co_return set;
}

PlanRequest plan_request(const Settings& settings, const RouteSettings* route, const Hop& hop, MxSet mx) {
  PlanRequest request;
  request.next_hop = hop.name;
  request.mx = std::move(mx);
  if (route != nullptr) request.route = demand_of(*route, hop);
  request.floor = settings.delivery.tls;
  request.exceptions = settings.exceptions;
  request.sts_mode = settings.sts.mode;
  request.dane_mode = settings.dane.mode;
  request.port = hop.port;
  request.ip = settings.delivery.ip;
  return request;
}

asio::awaitable<TlsPlan> plan_for(TlsPlanner& planner, Hop hop, PlanRequest request) {
  if (!hop.literal) co_return co_await planner.plan(std::move(request));
  MxFacts facts;
  facts.addresses.status = DnsStatus::ok;
  facts.addresses.addresses.push_back(*hop.literal);
  StsLookup sts;
  sts.state = StsLookup::State::absent;
  std::vector<MxFacts> all;
  all.push_back(std::move(facts));
  co_return decide(request, sts, all);
}

}  // namespace holdfast
