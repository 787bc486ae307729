// The part of a DeliveryJob that finds a connection: which addresses the plan leaves, in which order, and a
// pooled or a new connection to each.
#include <algorithm>

#include "queue/delivery_job.h"
#include "queue/delivery_outcome.h"
#include "queue/route_table.h"

namespace holdfast {
namespace {

// DNS is sure that none has one.
bool all_without_address(const TlsPlan& plan) {
  return std::all_of(plan.mx.begin(), plan.mx.end(), [](const MxPlan& mx) {
    return mx.finding == PlanFinding::address_unknown &&
           (mx.addresses.status == DnsStatus::no_data || mx.addresses.status == DnsStatus::nx_domain);
  });
}

}  // namespace

// Notes what excludes MXs and collects the addresses of the others. False when there are none.
bool DeliveryJob::look_at_plan(const TlsPlan& plan, const Hop& hop, std::vector<Candidate>& out) {
  bool only_unauthenticated = !plan.mx.empty();
  for (const MxPlan& mx : plan.mx) {
    only_unauthenticated = only_unauthenticated && !mx.usable && mx.finding == PlanFinding::not_authenticated;
    if (mx.usable) {
      for (const IpBytes& ip : mx.addresses.addresses) {
        Candidate c;
        c.mx = &mx;
        c.ip = ip;
        out.push_back(c);
      }
      continue;
    }
    if (counts_in_tlsrpt()) to_ledger(refused_mx_outcomes(mx, hop.name, context_.clock.wall()));
    Verdict v = mx_refused(mx, tls_);
    if (v.policy) {
      Fields f;
      f.add("msg", messages_.front().meta->id.text()).add("mx", mx.mx.name.text());
      f.add("policy", v.policy_field).add("reply", v.text).add("stage", v.stage);
      context_.log.event("policy_refused", f);
    }
    // No policy makes its MXs verifiable: that does not pass by waiting (RFC 8689 section 4.2.1).
    if (tls_.requiretls && mx.finding == PlanFinding::not_authenticated) continue;
    note(std::move(v));
  }
  const bool nowhere = !plan.mx.empty() && !plan.sts && !grant_.route && all_without_address(plan);
  if (nowhere) {
    Verdict v = own_verdict(Verdict::Kind::permanent, "5.4.4",
                            "no mail server of " + hop.name.text() + " has an address");
    v.stage = "dns";
    for (InHand& m : messages_)
      for (Item& item : m.items)
        if (!item.done) settle(m, item, v);
  } else if (only_unauthenticated && tls_.requiretls) {
    Verdict v = mx_refused(plan.mx.front(), tls_);
    v.kind = Verdict::Kind::permanent;
    v.status = "5.7.10";
    for (InHand& m : messages_)
      for (Item& item : m.items)
        if (!item.done) refuse_unless_taken(item, v, true);
    last_reply_ = v.text;
  } else if (out.empty() && notes_.empty()) {
    note(own_verdict(Verdict::Kind::temporary, plan.policy_forbids ? "4.7.5" : "4.4.4",
                     plan.why.empty() ? "no mail server can be used" : plan.why));
  }
  return !out.empty();
}

// Addresses that were dead a moment ago come last; when all are, the one that has been dead the longest is
// tried alone.
void DeliveryJob::order(std::vector<Candidate>& candidates, std::uint16_t port) const {
  const SteadyTime now = context_.clock.now();
  const auto dead = [&](const Candidate& c) { return dead_.has(c.ip, port, now); };
  const auto alive_end =
      std::stable_partition(candidates.begin(), candidates.end(), [&](const auto& c) { return !dead(c); });
  if (alive_end != candidates.begin()) {
    candidates.erase(alive_end, candidates.end());
    return;
  }
  std::stable_sort(candidates.begin(), candidates.end(), [&](const Candidate& a, const Candidate& b) {
    return dead_.until(a.ip, port) < dead_.until(b.ip, port);
  });
  candidates.resize(std::min<std::size_t>(candidates.size(), 1));
}

ConnectionKey DeliveryJob::key_for(const Hop& hop, Candidate where) const {
  ConnectionKey key;
  key.destination = grant_.destination;
  key.mx = where.mx->mx.name.text();
  key.ip = where.ip;
  key.port = hop.port;
  key.server_name = where.mx->requirement.server_name.text();
  key.implicit_tls = hop.implicit_tls;
  if (grant_.route) key.credentials = route_key(*grant_.route);
  // The same source for the same destination, so that connections and reputations are reused.
  std::vector<const SourceSettings*> fitting;
  for (const auto& source : settings().sources) {
    const auto ip = parse_ip(source.address);
    if (ip && is_ipv6(*ip) == is_ipv6(where.ip)) fitting.push_back(&source);
  }
  if (!fitting.empty())
    key.source = fitting[std::hash<std::string>()(grant_.destination) % fitting.size()]->address;
  return key;
}

asio::awaitable<void> DeliveryJob::try_address(const Hop& hop, const TlsPlan& plan, Candidate where,
                                               bool pooled_only) {
  ++visit_;
  const MxPlan& mx = *where.mx;
  const ConnectionKey key = key_for(hop, where);
  for (;;) {
    if (!pending() || !any_for(is_ipv6(where.ip))) co_return;
    std::unique_ptr<Connection> connection = pool_.take(key, mx.requirement);
    const bool reused = connection != nullptr;
    if (!reused) {
      if (pooled_only) co_return;
      connection = co_await open(hop, plan, where, key);
      if (!connection) co_return;
    }
    const unsigned before = answers_;
    tls_now_ = connection->tls;
    co_await serve(*connection);
    const unsigned most = settings().delivery.messages_per_connection;
    if (connection->session->usable() && ConnectionPool::spent(*connection, most)) {
      // Within the permit: its place is free when the next one asks for it.
      co_await connection->session->quit();
    }
    if (connection->session->usable()) {
      pool_.put(std::move(connection), settings().delivery.idle_connection, most);
    }
    connection.reset();
    co_await look_for_cancellation();
    if (cancelled_ || over_) co_return;
    // A fresh connection on which nothing was answered: the next address. A reused one may just have been
    // old.
    if (!reused && answers_ == before) co_return;
  }
}

}  // namespace holdfast
