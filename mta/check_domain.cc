#include "mta/check_domain.h"

#include "mta/check_dial.h"
#include "mta/check_verdict.h"
#include "queue/route_table.h"

namespace holdfast {
namespace {

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
  const auto nothing = verdict_of(out.mx_set, route != nullptr);
  if (!nothing || may_be_forged(*nothing, out.mx_set)) {
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
