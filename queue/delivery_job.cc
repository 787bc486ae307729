#include "queue/delivery_job.h"

#include <algorithm>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/this_coro.hpp>
#include <chrono>

#include "queue/delivery_outcome.h"
#include "queue/next_hop.h"
#include "queue/route_table.h"
#include "smtp/base/base_error.h"
#include "smtp/base/notifier.h"
#include "tlsrpt/result_type.h"

namespace holdfast {
namespace {

// New connections that one permit may open (invariant 37).
constexpr unsigned kMostConnections = 20;
// RFC 8461 does not bound it: an unknown policy holds a message up for so long (protocol.md).
constexpr Duration kUnknownPolicyWait = std::chrono::minutes(30);

// DNS is sure that none has one.
bool all_without_address(const TlsPlan& plan) {
  return std::all_of(plan.mx.begin(), plan.mx.end(), [](const MxPlan& mx) {
    return mx.finding == PlanFinding::address_unknown &&
           (mx.addresses.status == DnsStatus::no_data || mx.addresses.status == DnsStatus::nx_domain);
  });
}

}  // namespace

DeliveryJob::DeliveryJob(const DeliveryContext& context, ConnectionPool& pool, DeadAddresses& dead,
                         DeliveryMetrics& metrics, DeliveryWriter& writer, Grant grant)
    : context_(context),
      pool_(pool),
      dead_(dead),
      metrics_(metrics),
      writer_(writer),
      grant_(std::move(grant)) {
  // Claims of one message at several domains of a route travel in one transaction.
  for (Claim& claim : grant_.claims) {
    auto found = std::find_if(messages_.begin(), messages_.end(),
                              [&](const InHand& m) { return m.meta->id == claim.meta->id; });
    if (found == messages_.end()) {
      found = messages_.emplace(messages_.end());
      found->meta = claim.meta;
    }
    for (ClaimedRecipient& r : claim.recipients) {
      Item item;
      item.token = claim.token;
      item.recipient = std::move(r);
      item.domain = claim.domain;
      found->items.push_back(std::move(item));
    }
    claim.recipients.clear();
    found->claims.push_back(std::move(claim));
  }
  grant_.claims.clear();
  if (!messages_.empty()) tls_ = messages_.front().meta->tls;
  if (tls_.requiretls) tls_.tls_required_no = false;
}

asio::awaitable<GrantReport> DeliveryJob::run() {
  started_ = context_.clock.now();
  const WallTime now = context_.timeline.now();
  // What ends with this attempt is not to fail by a policy that is no longer the domain's.
  fresh_ = std::any_of(messages_.begin(), messages_.end(),
                       [&](const InHand& m) { return m.meta->expires <= now; });
  const std::vector<Hop> all = hops_of(grant_.route.get(), grant_.domain, settings());
  for (;;) {
    for (const Hop& hop : all) {
      if (!pending() || cancelled_) break;
      co_await try_hop(hop);
      co_await look_for_cancellation();
    }
    if (cancelled_ || !wants_fresh_plan()) break;
    fresh_ = true;
    for (InHand& m : messages_)
      for (Item& item : m.items)
        if (item.fallback_needs_all) item.fallback.reset();
  }
  // What is known by now is recorded whatever comes: a cancellation ends attempts, not their results.
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  if (!cancelled_) co_await settle_rest();
  GrantReport report;
  report.unfinished = unfinished();
  for (InHand& m : messages_) co_await record(m);
  report.reply = last_reply_;
  if (cancelled_) {
    report.how = GrantReport::How::aborted;
  } else if (rate_limited_ && !report.unfinished.empty()) {
    report.how = GrantReport::How::busy;
  } else if (reached_) {
    report.how = throttled_ ? GrantReport::How::throttled : GrantReport::How::reached;
  } else if (!report.unfinished.empty() && !busy_mx_.empty()) {
    report.how = GrantReport::How::busy;
    report.busy_mx = busy_mx_;
    report.total_reached = total_reached_;
  } else if (!notes_.empty()) {
    const Verdict why = best_note();
    report.how = GrantReport::How::failed;
    report.reply = why.text;
    report.policy = why.policy;
  }
  co_return report;
}

PlanRequest DeliveryJob::request_for(const Hop& hop, MxSet mx) const {
  PlanRequest request = plan_request(settings(), grant_.route.get(), hop, std::move(mx));
  request.message = tls_;
  request.now = context_.clock.wall();
  request.fresh = fresh_;
  const WallTime now = context_.timeline.now();
  Duration youngest = Duration::max();
  for (const InHand& m : messages_)
    if (!done(m)) youngest = std::min(youngest, Duration(now - m.meta->accepted));
  request.message_age = youngest;
  return request;
}

asio::awaitable<void> DeliveryJob::try_hop(Hop hop) {
  MxSet mx = co_await mx_of(context_.resolver, context_.random, grant_.settings, hop, grant_.domain);
  co_await look_for_cancellation();
  if (cancelled_) co_return;  // what was found may be the cancellation's doing
  if (auto verdict = verdict_of(mx, grant_.route != nullptr)) {
    if (verdict->kind != Verdict::Kind::permanent) {
      note(std::move(*verdict));
      co_return;
    }
    for (InHand& m : messages_)
      for (Item& item : m.items)
        if (!item.done) settle(m, item, *verdict);
    co_return;
  }
  PlanRequest request = request_for(hop, mx);
  TlsPlan plan = co_await plan_for(context_.planner, hop, std::move(request));
  co_await look_for_cancellation();
  if (cancelled_) co_return;
  if (plan.must_wait) {
    defer_young(plan);
    if (!pending()) co_return;
    PlanRequest again = request_for(hop, std::move(mx));
    plan = co_await plan_for(context_.planner, hop, std::move(again));
    co_await look_for_cancellation();
    if (cancelled_) co_return;
    if (plan.must_wait) {
      Verdict v = own_verdict(Verdict::Kind::temporary, "4.4.3", plan.why);
      v.policy = true;
      note(std::move(v));
      co_return;
    }
  }
  std::vector<Candidate> candidates;
  if (!look_at_plan(plan, hop, candidates)) co_return;
  order(candidates, hop.port);
  candidates_ = &candidates;
  // An open connection to an MX that is as good as the best comes first.
  for (const Candidate& c : candidates) {
    if (c.mx->mx.preference != candidates.front().mx->mx.preference || !pending() || cancelled_) continue;
    co_await try_address(hop, plan, c, true);
  }
  for (const Candidate& c : candidates) {
    if (!pending() || cancelled_) break;
    co_await try_address(hop, plan, c, false);
    co_await look_for_cancellation();
  }
  candidates_ = nullptr;
}

// Messages that are young enough wait for an unknown policy.
void DeliveryJob::defer_young(const TlsPlan& plan) {
  const WallTime now = context_.timeline.now();
  Verdict v = own_verdict(Verdict::Kind::temporary, "4.4.3", plan.why);
  v.policy = true;
  v.stage = "plan";
  note(v);
  for (InHand& m : messages_) {
    if (now - m.meta->accepted >= kUnknownPolicyWait) continue;
    for (Item& item : m.items)
      if (!item.done) settle(m, item, v);
  }
}

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

OpenRequest DeliveryJob::open_request(const Hop&, Candidate where, ConnectionKey key) const {
  OpenRequest request;
  request.operators_word = grant_.route != nullptr;
  request.our_name = settings().hostname;
  for (const auto& source : settings().sources) {
    if (key.source.empty() || source.address != key.source) continue;
    request.source = parse_ip(source.address);
    if (!source.hostname.empty()) request.our_name = source.hostname;
  }
  request.requirement = where.mx->requirement;
  if (grant_.route) {
    request.username = grant_.route->username;
    request.password = grant_.route->password;
  }
  request.contexts = context_.tls();
  request.key = std::move(key);
  return request;
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

asio::awaitable<std::unique_ptr<Connection>> DeliveryJob::open(const Hop& hop, const TlsPlan& plan,
                                                               Candidate where, ConnectionKey key) {
  const MxPlan& mx = *where.mx;
  if (opened_ >= kMostConnections) {
    note(own_verdict(Verdict::Kind::temporary, "4.4.2", "too many connections for one delivery attempt"));
    co_return nullptr;
  }
  const std::string host = budget_host(key);
  ConnectionBudget::Place place = context_.budget.open(host, settings().delivery, context_.clock.now());
  if (!place) {
    busy_mx_ = host;
    total_reached_ = context_.budget.open_in_all() >= settings().delivery.connections_total;
    co_return nullptr;
  }
  OpenRequest request = open_request(hop, where, key);
  const SteadyTime began = context_.clock.now();
  ++opened_;
  OpenRequest first = request;
  OpenResult opened = co_await open_connection(context_.connector, context_.clock, std::move(first));
  co_await look_for_cancellation();
  if (cancelled_) co_return nullptr;  // what broke was broken by us: nothing to report
  auto tls = account(hop, plan, mx, opened, context_.clock.now() - began, key);
  const bool tls_failed = !opened.connection && opened.tls_failure;
  if (tls_failed && mx.requirement.cleartext_allowed && !key.implicit_tls) {
    // Once more in clear on a new connection; the planner allows it, and the failure is recorded.
    request.in_clear = true;
    ++opened_;
    opened = co_await open_connection(context_.connector, context_.clock, std::move(request));
    auto clear = std::make_shared<TlsSummary>(*tls);
    clear->version.clear();
    clear->cipher.clear();
    tls = std::move(clear);
  }
  co_await look_for_cancellation();
  if (cancelled_) co_return nullptr;
  if (!opened.connection) {
    failed_open(mx, opened, key, std::move(tls));
    co_return nullptr;
  }
  dead_.remove(key.ip, key.port);
  opened.connection->place = std::move(place);
  opened.connection->tls = std::move(tls);
  co_return std::move(opened.connection);
}

// Tells log, ledger and metrics of one connection.
std::shared_ptr<const TlsSummary> DeliveryJob::account(const Hop& hop, const TlsPlan& plan, const MxPlan& mx,
                                                       const OpenResult& opened, Duration took,
                                                       const ConnectionKey& key) {
  ResultType passed_over = ResultType::success;
  auto tls = std::make_shared<TlsSummary>();
  tls->policy = policy_label(mx, grant_.route != nullptr);
  tls->mode = policy_mode(mx);
  tls->result =
      opened.is_session ? name(result_type_of(opened.tls_failure, AppliedPolicy::Type::none)) : "none";
  if (opened.evidence.version != TlsVersion::none) {
    tls->version = name(opened.evidence.version);
    tls->cipher = opened.evidence.cipher;
  }
  for (const CertificateInfo& certificate : opened.evidence.chain)
    tls->chain.push_back(certificate_line(certificate));
  if (opened.is_session) {
    SessionFacts facts;
    facts.at = context_.clock.wall();
    facts.report_domain = hop.name;
    facts.sending_ip = opened.local_ip;
    facts.mx_helo = opened.helo;
    facts.receiving_ip = ip_text(key.ip);
    facts.failure = opened.tls_failure;
    facts.evidence = opened.evidence;
    facts.sts_fetch_failure = plan.sts_fetch_failure;
    std::vector<SessionOutcome> outcomes = session_outcomes(mx, facts);
    for (const auto& o : outcomes) {
      if (o.result == ResultType::success) continue;
      tls->result = name(o.result);
      break;
    }
    passed_over = overlooked(mx, outcomes);
    for (const auto& o : outcomes) metrics_.sessions(policy_type_name(o.policy.type), name(o.result)).add();
    if (counts_in_tlsrpt()) to_ledger(std::move(outcomes));
  }
  Fields f;
  for (const InHand& m : messages_) {
    if (done(m)) continue;
    f.add("msg", m.meta->id.text());
    break;
  }
  f.add("mx", key.mx).add("ip", ip_text(key.ip));
  add_tls(f, *tls);
  add_chain(f, *tls, kCertificatesInHistory);
  const bool goes_on = opened.connection || mx.requirement.cleartext_allowed;
  if (goes_on && passed_over != ResultType::success) {
    // What enforcing would have done is told, though the message goes on.
    const char* lifted = tls_.tls_required_no ? "tls-required-no" : "observe";
    const char* cause = mx.lowered_by.empty() ? lifted : "exception";
    f.add("lowered", cause).add("enforcing", name(passed_over));
    if (!mx.lowered_by.empty()) f.add("exception", mx.lowered_by);
    metrics_.lowered(cause, name(passed_over)).add();
  }
  if (opened.refused) f.add("code", opened.refused->code).add("reply", opened.refused->summary());
  if (opened.broken) f.add("reply", sanitise(opened.broken->text()));
  if (!opened.refused && !opened.broken && opened.tls_failure)
    f.add("reply",
          sanitise(std::string(describe(opened.tls_failure.error)) + ": " + opened.tls_failure.detail));
  f.add("stage", opened.connection ? "ready" : name(opened.stage));
  f.add("ms", static_cast<std::int64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(took).count()));
  context_.log.event("attempt", f);
  return tls;
}

void DeliveryJob::failed_open(const MxPlan& mx, const OpenResult& opened, const ConnectionKey& key,
                              std::shared_ptr<const TlsSummary> tls) {
  const SteadyTime now = context_.clock.now();
  Verdict v;
  if (opened.refused) {
    v = refused_session(*opened.refused, opened.stage);
    if (v.throttle) {
      throttled_ = true;
      context_.budget.slow_down(budget_host(key), settings().delivery, now);
    }
  } else if (opened.broken) {
    v = broken_session(*opened.broken, opened.stage);
    const bool silent = opened.stage == Stage::connect || opened.broken->is(BaseError::timed_out);
    if (silent) dead_.add(key.ip, key.port, now);
  } else {
    v = tls_refused(opened.tls_failure, mx, tls_);
    Fields f;
    f.add("msg", messages_.front().meta->id.text()).add("mx", key.mx).add("ip", ip_text(key.ip));
    add_tls(f, *tls);
    f.add("policy", v.policy_field).add("reply", v.text).add("stage", v.stage);
    context_.log.event("policy_refused", f);
  }
  v.mx = key.mx;
  v.ip = ip_text(key.ip);
  v.tls = std::move(tls);
  HistoryEntry entry;
  Fields detail;
  detail.add("mx", v.mx).add("ip", v.ip);
  if (v.tls) add_tls(detail, *v.tls);
  if (v.tls) add_chain(detail, *v.tls, kCertificatesInHistory);
  detail.add("stage", v.stage).add("reply", v.text);
  std::string transcript;
  for (const auto& line : opened.transcript) transcript += line + "\n";
  detail.add("transcript", transcript);
  entry.at = context_.timeline.now();
  entry.event = "attempt";
  entry.detail = "{" + detail.json() + "}";
  for (InHand& m : messages_) {
    if (done(m)) continue;
    entry.message = m.meta->id;
    m.history.push_back(entry);
  }
  last_reply_ = v.text;
  if (!opened.refused && !opened.broken && opened.tls_failure.error == TlsError::requiretls_missing) {
    // Everything else was met: this server cannot keep the promise (RFC 8689 section 4.2.1), another MX
    // might.
    v.kind = Verdict::Kind::permanent;
    v.status = "5.7.30";
    for (InHand& m : messages_)
      for (Item& item : m.items)
        if (!item.done) refuse_unless_taken(item, v, true);
    return;
  }
  note(std::move(v));
}

asio::awaitable<void> DeliveryJob::look_for_cancellation() {
  const bool cancelled = co_await is_cancelled();
  cancelled_ = cancelled_ || cancelled;
}

bool DeliveryJob::wants_fresh_plan() const {
  if (fresh_ || !notes_.empty() || !busy_mx_.empty()) return false;
  for (const InHand& m : messages_)
    for (const Item& item : m.items)
      if (!item.done && item.fallback && item.fallback_needs_all) return true;
  return false;
}

bool DeliveryJob::counts_in_tlsrpt() const {
  if (tls_.tls_required_no) return false;
  return std::any_of(messages_.begin(), messages_.end(),
                     [](const InHand& m) { return m.meta->counts_in_tlsrpt; });
}

void DeliveryJob::to_ledger(std::vector<SessionOutcome> outcomes) {
  for (auto& outcome : outcomes) context_.ledger.record(std::move(outcome));
}

}  // namespace holdfast
