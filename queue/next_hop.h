// queue/next_hop.h — where mail for a domain goes: the domain itself, or the `via` entries of its route in
// turn. Deliveries and `holdfast check` ask here, so that both go the same way on the same terms.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "config/settings.h"
#include "smtp/dns/mx_lookup.h"
#include "sts/tls_planner.h"

namespace holdfast {

struct Hop {
  DomainName name;  // policy domain (RFC 8461 section 3.4); empty for an address literal
  std::optional<IpBytes> literal;
  std::uint16_t port = 25;
  bool implicit_tls = false;
  bool lookup_mx = true;
};

// `route` nullptr: by the MX of `domain`, which may be "[192.0.2.1]". Pure.
std::vector<Hop> hops_of(const RouteSettings* route, std::string_view domain, const Settings& settings);

// The hop's hosts. `domain` is what to name when the hop has no usable name.
asio::awaitable<MxSet> mx_of(Resolver& resolver, Random& random, SettingsPtr settings, Hop hop,
                             std::string domain);

// What the configuration asks; the caller adds the message, its age and the time.
PlanRequest plan_request(const Settings& settings, const RouteSettings* route, const Hop& hop, MxSet mx);

// The planner's word; for an address literal, which has no name to look anything up for, decide()'s.
asio::awaitable<TlsPlan> plan_for(TlsPlanner& planner, Hop hop, PlanRequest request);

}  // namespace holdfast
