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
  std::vector<CheckedMx> mx;
};

OpenRequest request_for(const Dial& dial, const MxPlan& plan, const IpBytes& ip) {
  OpenRequest request;
  request.key.mx = plan.mx.name.text();
  request.key.ip = ip;
  request.key.port = dial.settings->delivery.port;
  request.key.server_name = plan.requirement.server_name.text();
  request.our_name = dial.settings->hostname;
  for (const SourceSettings& source : dial.settings->sources) {
    const auto from = parse_ip(source.address);
    if (request.source || !from || is_ipv6(*from) != is_ipv6(ip)) continue;
    request.source = from;
    if (!source.hostname.empty()) request.our_name = source.hostname;
  }
  request.requirement = plan.requirement;
  // Where nothing asks for the certificate it is looked at all the same; what is watched fails nothing.
  if (!request.requirement.pkix && !request.requirement.watch_pkix)
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

PlanRequest plan_request(const Settings& settings, const DomainName& domain, const MxSet& mx, WallTime now) {
  PlanRequest request;
  request.next_hop = domain;
  request.mx = mx;
  request.floor = settings.delivery.tls;
  request.exceptions = settings.exceptions;
  request.sts_mode = settings.sts.mode;
  request.dane_mode = settings.dane.mode;
  request.port = settings.delivery.port;
  request.ip = settings.delivery.ip;
  request.now = now;
  request.fresh = true;
  return request;
}

std::vector<DomainName> own_names(const Settings& settings) {
  std::vector<DomainName> own;
  if (auto name = DomainName::parse(settings.hostname)) own.push_back(*name);
  for (const auto& source : settings.sources)
    if (auto name = DomainName::parse(source.hostname)) own.push_back(*name);
  return own;
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

// Walks the MX hosts as a delivery does: what it would have met, and the sessions it would have reported.
std::vector<SessionOutcome> walk(CheckResult& result) {
  std::vector<SessionOutcome> outcomes;
  const auto add = [&](std::vector<SessionOutcome> more) {
    std::move(more.begin(), more.end(), std::back_inserter(outcomes));
  };
  std::optional<Verdict> best;
  bool all_unknown = !result.mx.empty();
  const TlsClass plain;
  for (const CheckedMx& mx : result.mx) {
    if (mx.plan.usable) continue;
    add(refused_mx_outcomes(mx.plan, result.domain, result.at));
    Verdict v = mx_refused(mx.plan, plain);
    if (!best || (v.policy && !best->policy)) best = std::move(v);
  }
  for (const CheckedMx& mx : result.mx) {
    all_unknown = all_unknown && mx.verdict == CheckVerdict::unknown;
    if (!mx.plan.usable) continue;
    for (const CheckedAddress& address : mx.addresses) {
      if (address.opened.is_session) {
        SessionFacts facts;
        facts.at = result.at;
        facts.report_domain = result.domain;
        facts.sending_ip = address.opened.local_ip;
        facts.mx_helo = address.opened.helo;
        facts.receiving_ip = ip_text(address.ip);
        facts.failure = address.opened.tls_failure;
        facts.evidence = address.opened.evidence;
        facts.sts_fetch_failure = result.plan.sts_fetch_failure;
        add(session_outcomes(mx.plan, facts));
      }
      if (address.reached) {
        result.verdict = mx.verdict;
        result.message.kind = Kind::delivered;
        result.message.mx = mx.plan.mx.name.text();
        result.message.ip = ip_text(address.ip);
        return outcomes;
      }
      if (!best || (address.verdict.policy && !best->policy)) best = address.verdict;
    }
  }
  result.verdict = all_unknown ? CheckVerdict::unknown : CheckVerdict::held;
  result.message = best ? *best : own_verdict(Kind::temporary, "4.4.4", result.plan.why);
  return outcomes;
}

// No MX has an address, and DNS is sure of it: the one case after the MX lookup that bounces at once.
bool nowhere(const CheckResult& result) {
  return !result.mx.empty() && !result.plan.sts &&
         std::all_of(result.mx.begin(), result.mx.end(), [](const CheckedMx& mx) {
           const DnsStatus status = mx.plan.addresses.status;
           return mx.plan.finding == PlanFinding::address_unknown &&
                  (status == DnsStatus::no_data || status == DnsStatus::nx_domain);
         });
}

void note_policy(CheckResult& result, const std::vector<PolicyEntry>& entries) {
  for (const PolicyEntry& entry : entries) {
    if (entry.cached.domain != result.domain) continue;
    result.policy_source = entry.source;
    result.policy_failure = entry.failure;
  }
}

void note_settings(CheckResult& result, const SettingsPtr& settings) {
  const RouteTable routes(settings);
  const Mailbox anybody;
  if (const auto route = routes.find(result.domain.text(), anybody)) result.route = route_name(*route);
  for (const ExceptionSettings& exception : settings->exceptions) {
    bool applies = exception_applies(exception, result.domain, DomainName(), result.at);
    for (const CheckedMx& mx : result.mx)
      applies = applies || exception_applies(exception, result.domain, mx.plan.mx.name, result.at);
    if (applies) result.exceptions.push_back(exception);
  }
}

std::shared_ptr<Dial> dial_for(Standalone& tools, CheckResult& result) {
  auto dial =
      std::make_shared<Dial>(Dial{tools.connector(), tools.clock(), tools.settings(), tools.contexts(), {}});
  for (MxPlan& plan : result.plan.mx) {
    CheckedMx mx;
    if (result.plan.sts) {
      for (const std::string& pattern : result.plan.sts->policy.mx)
        if (mx.pattern.empty() && mx_pattern_matches(pattern, plan.mx.name)) mx.pattern = pattern;
    }
    for (const IpBytes& ip : plan.addresses.addresses) {
      CheckedAddress address;
      address.ip = ip;
      mx.addresses.push_back(std::move(address));
    }
    mx.plan = std::move(plan);
    dial->mx.push_back(std::move(mx));
  }
  result.plan.mx.clear();
  return dial;
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

  std::vector<DomainName> own = own_names(*settings);
  result.mx_set = co_await lookup_mx(tools.resolver(), domain, std::move(own), tools.random());
  const auto nothing = verdict_of(result.mx_set, false);
  if (!nothing) {
    PlanRequest request = plan_request(*settings, domain, result.mx_set, result.at);
    result.plan = co_await tools.planner().plan(std::move(request));
  }
  // Already looked up by the planner: this tells why there is none, and where the one in force came from.
  if (settings->sts.mode != PolicyMode::off) result.sts = co_await tools.policies().lookup(domain, false);
  const std::vector<PolicyEntry> entries = co_await tools.policies().entries();
  note_policy(result, entries);

  auto dial = dial_for(tools, result);
  if (!result.plan.must_wait) co_await dial_all(dial);
  result.mx = std::move(dial->mx);
  for (CheckedMx& mx : result.mx) judge(mx);
  note_settings(result, settings);

  if (nothing) {
    result.message = *nothing;
    result.verdict = nothing->kind == Kind::permanent ? CheckVerdict::bounced : CheckVerdict::unknown;
  } else if (result.plan.must_wait) {
    result.message = own_verdict(Kind::temporary, "4.4.3", result.plan.why);
    result.verdict = CheckVerdict::unknown;
  } else {
    std::vector<LedgerRow> rows;
    for (SessionOutcome& outcome : walk(result)) {
      LedgerRow row;
      row.outcome = std::move(outcome);
      row.sessions = 1;
      rows.push_back(std::move(row));
    }
    if (nowhere(result)) {
      result.verdict = CheckVerdict::bounced;
      result.message =
          own_verdict(Kind::permanent, "5.4.4", "no mail server of " + domain.text() + " has an address");
    }
    ReportSender sender;
    sender.organization = settings->tlsrpt.organization;
    sender.contact = settings->tlsrpt.contact;
    sender.node = settings->hostname;
    result.reports = build_reports(rows, sender);
  }
  result.report_targets = co_await lookup_report_targets(tools.resolver(), domain);
  result.records = tools.resolver().seen();
  co_return result;
}

}  // namespace holdfast
