#include "mta/check_domain.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "queue/delivery_outcome.h"
#include "queue/route_table.h"

namespace holdfast {
namespace {

using Kind = Verdict::Kind;

constexpr Duration kConnectLimit = std::chrono::seconds(10);

ClientTimeouts impatient() {
  ClientTimeouts limits;
  limits.greeting = std::chrono::seconds(20);
  limits.ehlo = std::chrono::seconds(15);
  limits.starttls = std::chrono::seconds(15);
  limits.quit = std::chrono::seconds(2);
  return limits;
}

// Shared with the parallel connections, so that nothing dangles however they end.
struct Dial {
  Connector& connector;
  Clock& clock;
  SettingsPtr settings;
  std::shared_ptr<const TlsClientContexts> contexts;
  std::shared_ptr<const RouteSettings> route;
  Hop hop;
  std::vector<CheckedMx> mx;
};

OpenRequest request_for(const Dial& dial, const MxPlan& plan, const IpBytes& ip) {
  OpenRequest request;
  request.key.mx = plan.mx.name.text();
  request.key.ip = ip;
  request.key.port = dial.hop.port;
  request.key.implicit_tls = dial.hop.implicit_tls;
  request.key.server_name = plan.requirement.server_name.text();
  if (dial.route) {
    request.operators_word = true;
    request.username = dial.route->username;
    request.password = dial.route->password;
  }
  request.our_name = dial.settings->hostname;
  for (const SourceSettings& source : dial.settings->sources) {
    const auto from = parse_ip(source.address);
    if (request.source || !from || is_ipv6(*from) != is_ipv6(ip)) continue;
    request.source = from;
    if (!source.hostname.empty()) request.our_name = source.hostname;
  }
  request.requirement = plan.requirement;
  // Where nothing asks for the certificate it is looked at all the same; what is watched fails nothing.
  if (!request.requirement.pkix && !request.requirement.watch_pkix && !plan.mx.name.empty())
    request.requirement.watch_pkix = PkixRequirement{plan.mx.name};
  request.contexts = dial.contexts;
  request.connect_limit = kConnectLimit;
  request.timeouts = impatient();
  return request;
}

// One attempt; keeps the session's extensions and says QUIT.
asio::awaitable<OpenResult> attempt(std::shared_ptr<Dial> dial, OpenRequest request,
                                    std::optional<Extensions>& extensions) {
  OpenResult opened = co_await open_connection(dial->connector, dial->clock, std::move(request));
  if (opened.connection) {
    extensions = opened.connection->session->extensions();
    co_await opened.connection->session->quit();
  }
  co_return opened;
}

Verdict why_not(const MxPlan& plan, const OpenResult& opened, const IpBytes& ip) {
  Verdict v;
  if (opened.refused) {
    v = refused_session(*opened.refused, opened.stage);
  } else if (opened.broken) {
    v = broken_session(*opened.broken, opened.stage);
  } else {
    const TlsClass plain;
    v = tls_refused(opened.tls_failure, plan, plain);
  }
  v.mx = plan.mx.name.text();
  v.ip = ip_text(ip);
  return v;
}

asio::awaitable<void> dial_address(std::shared_ptr<Dial> dial, std::size_t mx_index, std::size_t index) {
  co_await asio::this_coro::throw_if_cancelled(false);
  const MxPlan& plan = dial->mx[mx_index].plan;
  CheckedAddress& out = dial->mx[mx_index].addresses[index];
  OpenRequest request = request_for(*dial, plan, out.ip);
  OpenRequest first = request;
  out.opened = co_await attempt(dial, std::move(first), out.extensions);
  out.reached = out.opened.connection != nullptr;
  out.opened.connection.reset();
  if (!out.reached && out.opened.tls_failure && plan.requirement.cleartext_allowed) {
    // As a delivery does: once more in clear on a new connection, where the planner allows it.
    request.in_clear = true;
    out.fell_back = true;
    OpenResult again = co_await attempt(dial, std::move(request), out.extensions);
    out.reached = again.connection != nullptr;
    if (!out.reached) {
      out.verdict = why_not(plan, again, out.ip);
      out.clear_problem = out.verdict.text;
    }
    co_return;
  }
  if (!out.reached) out.verdict = why_not(plan, out.opened, out.ip);
}

asio::awaitable<void> dial_all(std::shared_ptr<Dial> dial) {
  const auto executor = co_await asio::this_coro::executor;
  using Job = decltype(asio::co_spawn(executor, dial_address(dial, 0, 0), asio::deferred));
  std::vector<Job> jobs;
  for (std::size_t m = 0; m < dial->mx.size(); ++m) {
    if (!dial->mx[m].plan.usable) continue;
    for (std::size_t a = 0; a < dial->mx[m].addresses.size(); ++a)
      jobs.push_back(asio::co_spawn(executor, dial_address(dial, m, a), asio::deferred));
  }
  if (jobs.empty()) co_return;
  auto group = asio::experimental::make_parallel_group(std::move(jobs));
  const auto wait_for_all = asio::experimental::wait_for_all();
  const auto [order, exceptions] = co_await group.async_wait(wait_for_all, asio::use_awaitable);
  for (const std::exception_ptr& exception : exceptions)
    if (exception) std::rethrow_exception(exception);
}

// Is the connection worth less than what the domain publishes? Only an exception or mode observe let it be.
bool less_than_asked(const MxPlan& plan, const CheckedAddress& address) {
  const TlsEvidence& evidence = address.opened.evidence;
  const bool clear = address.fell_back || address.opened.tls_failure || evidence.version == TlsVersion::none;
  for (const AppliedPolicy& policy : plan.policies) {
    if (policy.type == AppliedPolicy::Type::sts && policy.mode == StsMode::enforce) {
      if (clear || plan.finding == PlanFinding::mx_not_in_policy || evidence.pkix_failure) return true;
    }
    if (policy.type == AppliedPolicy::Type::tlsa && (clear || evidence.dane_failure)) return true;
  }
  return false;
}

void judge_refused(CheckedMx& mx) {
  const DnsStatus status = mx.plan.addresses.status;
  const bool dns = mx.plan.finding == PlanFinding::tlsa_unknown ||
                   mx.plan.finding == PlanFinding::sts_unknown ||
                   (mx.plan.finding == PlanFinding::address_unknown && is_unknown(status));
  mx.verdict = dns ? CheckVerdict::unknown : CheckVerdict::held;
  mx.reason = mx.plan.detail.empty() ? describe(mx.plan.finding) : mx.plan.detail;
  mx.hint = hint_for(mx.plan, nullptr);
}

void judge(CheckedMx& mx) {
  if (!mx.plan.usable) return judge_refused(mx);
  mx.verdict = CheckVerdict::held;
  for (const CheckedAddress& address : mx.addresses) {
    if (mx.hint.empty()) mx.hint = hint_for(mx.plan, &address.opened);
    if (!address.reached) {
      if (mx.reason.empty() || address.verdict.policy) mx.reason = address.verdict.text;
      continue;
    }
    mx.verdict = less_than_asked(mx.plan, address) ? CheckVerdict::lowered : CheckVerdict::delivered;
    mx.reason = mx.plan.detail;
    return;
  }
}

// What the walk over all hops found.
struct Walk {
  std::vector<SessionOutcome> outcomes;
  std::optional<Verdict> best;  // why not
  bool reached = false;
  bool all_unknown = true;
};

void count_session(const CheckResult& result, const CheckedHop& hop, const CheckedMx& mx,
                   const CheckedAddress& address, Walk& walk) {
  if (!address.opened.is_session || hop.hop.name.empty()) return;
  SessionFacts facts;
  facts.at = result.at;
  facts.report_domain = hop.hop.name;
  facts.sending_ip = address.opened.local_ip;
  facts.mx_helo = address.opened.helo;
  facts.receiving_ip = ip_text(address.ip);
  facts.failure = address.opened.tls_failure;
  facts.evidence = address.opened.evidence;
  facts.sts_fetch_failure = hop.plan.sts_fetch_failure;
  for (SessionOutcome& outcome : session_outcomes(mx.plan, facts))
    walk.outcomes.push_back(std::move(outcome));
}

void keep_better(std::optional<Verdict>& best, Verdict verdict) {
  if (!best || (verdict.policy && !best->policy)) best = std::move(verdict);
}

// Walks the MX hosts of a hop as a delivery does: what it would have met, and the sessions it would have
// reported.
void walk_hop(CheckResult& result, const CheckedHop& hop, Walk& walk) {
  const TlsClass plain;
  for (const CheckedMx& mx : hop.mx) {
    if (mx.plan.usable) continue;
    if (!hop.hop.name.empty()) {
      for (SessionOutcome& outcome : refused_mx_outcomes(mx.plan, hop.hop.name, result.at))
        walk.outcomes.push_back(std::move(outcome));
    }
    keep_better(walk.best, mx_refused(mx.plan, plain));
  }
  for (const CheckedMx& mx : hop.mx) {
    walk.all_unknown = walk.all_unknown && mx.verdict == CheckVerdict::unknown;
    if (!mx.plan.usable) continue;
    for (const CheckedAddress& address : mx.addresses) {
      count_session(result, hop, mx, address, walk);
      if (!address.reached) {
        keep_better(walk.best, address.verdict);
        continue;
      }
      walk.reached = true;
      result.verdict = mx.verdict;
      result.message.kind = Kind::delivered;
      result.message.mx = mx.plan.mx.name.text();
      result.message.ip = ip_text(address.ip);
      result.report_domain = hop.hop.name;
      return;
    }
  }
}

// No MX has an address, and DNS is sure of it: the one case after the MX lookup that bounces at once.
bool nowhere(const CheckedHop& hop) {
  return hop.via.empty() && !hop.mx.empty() && !hop.plan.sts &&
         std::all_of(hop.mx.begin(), hop.mx.end(), [](const CheckedMx& mx) {
           const DnsStatus status = mx.plan.addresses.status;
           return mx.plan.finding == PlanFinding::address_unknown &&
                  (status == DnsStatus::no_data || status == DnsStatus::nx_domain);
         });
}

// Hop by hop, until one takes the message or decides about it.
Walk walk_all(CheckResult& result) {
  Walk walk;
  std::string why;
  result.report_domain = result.hops.front().hop.name;
  for (const CheckedHop& hop : result.hops) {
    if (const auto nothing = verdict_of(hop.mx_set, !hop.via.empty())) {
      walk.all_unknown = walk.all_unknown && hop.mx_set.verdict == MxVerdict::unknown;
      if (nothing->kind == Kind::permanent) {
        result.message = *nothing;
        result.verdict = CheckVerdict::bounced;
        return walk;
      }
      keep_better(walk.best, *nothing);
      continue;
    }
    if (hop.plan.must_wait) {  // a delivery goes no further either
      result.message = own_verdict(Kind::temporary, "4.4.3", hop.plan.why);
      result.verdict = CheckVerdict::unknown;
      return walk;
    }
    if (nowhere(hop)) {
      result.message = own_verdict(Kind::permanent, "5.4.4",
                                   "no mail server of " + hop.hop.name.text() + " has an address");
      result.verdict = CheckVerdict::bounced;
      return walk;
    }
    walk_hop(result, hop, walk);
    if (walk.reached) return walk;
    why = hop.plan.why;
  }
  result.verdict = walk.all_unknown ? CheckVerdict::unknown : CheckVerdict::held;
  result.message = walk.best ? *walk.best : own_verdict(Kind::temporary, "4.4.4", why);
  return walk;
}

void note_policy(CheckedHop& hop, const std::vector<PolicyEntry>& entries) {
  for (const PolicyEntry& entry : entries) {
    if (entry.cached.domain != hop.hop.name) continue;
    hop.policy_source = entry.source;
    hop.policy_failure = entry.failure;
  }
}

void note_exceptions(CheckResult& result, const Settings& settings) {
  for (const ExceptionSettings& exception : settings.exceptions) {
    bool applies = false;
    for (const CheckedHop& hop : result.hops) {
      applies = applies || exception_applies(exception, hop.hop.name, DomainName(), result.at);
      for (const CheckedMx& mx : hop.mx)
        applies = applies || exception_applies(exception, hop.hop.name, mx.plan.mx.name, result.at);
    }
    if (applies) result.exceptions.push_back(exception);
  }
}

std::vector<CheckedMx> checked_of(CheckedHop& hop) {
  std::vector<CheckedMx> out;
  for (MxPlan& plan : hop.plan.mx) {
    CheckedMx mx;
    if (hop.plan.sts) {
      for (const std::string& pattern : hop.plan.sts->policy.mx)
        if (mx.pattern.empty() && mx_pattern_matches(pattern, plan.mx.name)) mx.pattern = pattern;
    }
    for (const IpBytes& ip : plan.addresses.addresses) {
      CheckedAddress address;
      address.ip = ip;
      mx.addresses.push_back(std::move(address));
    }
    mx.plan = std::move(plan);
    out.push_back(std::move(mx));
  }
  hop.plan.mx.clear();
  return out;
}

// Fills in everything of a hop but where it is.
asio::awaitable<void> check_hop(Standalone& tools, std::shared_ptr<const RouteSettings> route,
                                DomainName domain, CheckedHop& out) {
  const SettingsPtr settings = tools.settings();
  out.mx_set = co_await mx_of(tools.resolver(), tools.random(), settings, out.hop, domain.text());
  if (out.mx_set.verdict == MxVerdict::ok) {
    PlanRequest request = plan_request(*settings, route.get(), out.hop, out.mx_set);
    request.now = tools.clock().wall();
    request.fresh = true;
    out.plan = co_await plan_for(tools.planner(), out.hop, std::move(request));
  }
  // Already looked up by the planner: this tells why there is none, and where the one in force came from.
  if (settings->sts.mode != PolicyMode::off && !out.hop.name.empty())
    out.sts = co_await tools.policies().lookup(out.hop.name, false);
  const std::vector<PolicyEntry> entries = co_await tools.policies().entries();
  note_policy(out, entries);

  auto dial = std::make_shared<Dial>(
      Dial{tools.connector(), tools.clock(), settings, tools.contexts(), route, out.hop, checked_of(out)});
  if (!out.plan.must_wait) co_await dial_all(dial);
  out.mx = std::move(dial->mx);
  for (CheckedMx& mx : out.mx) judge(mx);
}

// "mx:corp.example:25" for each entry of the route.
std::vector<std::string> via_texts(const RouteSettings& route) {
  std::vector<std::string> out;
  for (const NextHop& hop : route.via) {
    RouteSettings one;
    one.via.push_back(hop);
    out.push_back(route_name(one));
  }
  return out;
}

}  // namespace

const char* name(CheckVerdict verdict) {
  switch (verdict) {
    case CheckVerdict::delivered: return "delivered";
    case CheckVerdict::lowered: return "lowered";
    case CheckVerdict::held: return "held";
    case CheckVerdict::bounced: return "bounced";
    case CheckVerdict::unknown: return "unknown";
  }
  return "unknown";
}

asio::awaitable<CheckResult> check_domain(Standalone& tools, DomainName domain) {
  const SettingsPtr settings = tools.settings();
  CheckResult result;
  result.domain = domain;
  result.at = tools.clock().wall();
  result.cache_unread = tools.cache_unread();
  result.validating = co_await validates_dnssec(tools.resolver());

  const RouteTable routes(settings);
  const Mailbox anybody;
  const auto route = routes.find(domain.text(), anybody);
  result.depends_on_sender = routes.depends_on_sender(domain.text());
  if (route) result.route = route_name(*route);
  const std::vector<std::string> via = route ? via_texts(*route) : std::vector<std::string>();
  const std::vector<Hop> hops = hops_of(route.get(), domain.text(), *settings);
  for (std::size_t i = 0; i < hops.size(); ++i) {
    CheckedHop checked;
    checked.hop = hops[i];
    if (i < via.size()) checked.via = via[i];
    co_await check_hop(tools, route, domain, checked);
    result.hops.push_back(std::move(checked));
  }
  note_exceptions(result, *settings);

  std::vector<LedgerRow> rows;
  Walk walk = walk_all(result);
  for (SessionOutcome& outcome : walk.outcomes) {
    LedgerRow row;
    row.outcome = std::move(outcome);
    row.sessions = 1;
    rows.push_back(std::move(row));
  }
  ReportSender sender;
  sender.organization = settings->tlsrpt.organization;
  sender.contact = settings->tlsrpt.contact;
  sender.node = settings->hostname;
  result.reports = build_reports(rows, sender);
  if (!result.report_domain.empty())
    result.report_targets = co_await lookup_report_targets(tools.resolver(), result.report_domain);
  result.records = tools.resolver().seen();
  co_return result;
}

}  // namespace holdfast
