// The part of a DeliveryJob that opens a connection, and tells log, ledger and metrics what came of it.
#include <algorithm>
#include <chrono>

#include "queue/delivery_job.h"
#include "queue/delivery_outcome.h"
#include "smtp/base/base_error.h"
#include "tlsrpt/result_type.h"

namespace holdfast {
namespace {

// New connections that one permit may open (invariant 37).
constexpr unsigned kMostConnections = 20;

}  // namespace

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

bool DeliveryJob::counts_in_tlsrpt() const {
  if (tls_.tls_required_no) return false;
  return std::any_of(messages_.begin(), messages_.end(),
                     [](const InHand& m) { return m.meta->counts_in_tlsrpt; });
}

void DeliveryJob::to_ledger(std::vector<SessionOutcome> outcomes) {
  for (auto& outcome : outcomes) context_.ledger.record(std::move(outcome));
}

}  // namespace holdfast
