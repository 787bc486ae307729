#include "mta/check_verdict.h"

#include <algorithm>

#include "queue/delivery_outcome.h"

namespace holdfast {
namespace {

using Kind = Verdict::Kind;

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

}  // namespace

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

Walk walk_all(CheckResult& result) {
  Walk walk;
  std::string why;
  result.report_domain = result.hops.front().hop.name;
  for (const CheckedHop& hop : result.hops) {
    auto nothing = verdict_of(hop.mx_set, !hop.via.empty());
    const bool doubtful = nothing && may_be_forged(*nothing, hop.mx_set);
    if (nothing && !(doubtful && hop.plan.must_wait)) {
      walk.all_unknown = walk.all_unknown && hop.mx_set.verdict == MxVerdict::unknown;
      if (doubtful) nothing = against_policy(std::move(*nothing), hop.plan);
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

}  // namespace holdfast
