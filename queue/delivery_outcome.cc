#include "queue/delivery_outcome.h"

#include "queue/delivery_verdict.h"
#include "tlsrpt/result_type.h"

namespace holdfast {
namespace {

using Type = AppliedPolicy::Type;

// Failures of the certificate's chain or name: PKIX has them, and DANE-TA, but a policy that proved itself on
// the same session did not fail by them.
bool concerns_certificate(TlsError error) {
  switch (error) {
    case TlsError::expired:
    case TlsError::not_yet_valid:
    case TlsError::untrusted:
    case TlsError::host_mismatch: return true;
    default: return false;
  }
}

bool concerns_dane_alone(TlsError error) {
  return error == TlsError::tlsa_mismatch || error == TlsError::tlsa_unusable;
}

bool has_policy(const MxPlan& mx, Type type) {
  for (const auto& p : mx.policies)
    if (p.type == type) return true;
  return false;
}

// What failed under this policy; none: the session was a success for it.
TlsFailure failure_under(const AppliedPolicy& policy, const MxPlan& mx, const SessionFacts& facts) {
  const TlsEvidence& e = facts.evidence;
  // The session itself met the policy: what is missing is the sender's demand.
  if (facts.failure.error == TlsError::requiretls_missing) return {};
  const TlsError error = facts.failure.error;
  const bool both = has_policy(mx, Type::sts) && has_policy(mx, Type::tlsa);
  switch (policy.type) {
    case Type::sts:
      if (e.pkix_failure) return e.pkix_failure;
      if (both && (concerns_dane_alone(error) || (concerns_certificate(error) && e.pkix))) return {};
      return facts.failure;
    case Type::tlsa:
      if (e.dane_failure) return e.dane_failure;
      if (both && concerns_certificate(error) && (e.dane || e.pkix_failure)) return {};
      return facts.failure;
    case Type::none: break;
  }
  // Without a policy nothing is verified: only TLS as such can fail.
  return facts.failure;
}

// The domain publishes TLSA records, and the plan could make nothing of any of them: whatever the session
// did, it authenticated nothing. The plan's finding may be another one.
bool nothing_usable(const AppliedPolicy& policy, const MxPlan& mx) {
  return policy.type == Type::tlsa && !policy.text.empty() && !mx.requirement.dane &&
         !mx.requirement.watch_dane;
}

SessionOutcome base_outcome(const AppliedPolicy& policy, const DomainName& report_domain, WallTime at) {
  SessionOutcome o;
  o.day = std::chrono::floor<std::chrono::days>(at);
  o.report_domain = report_domain;
  o.policy = policy;
  return o;
}

constexpr const char* kNotInPolicy = "mx-not-in-policy";

// How a plan names a policy that could not be had: no text, no mode (RFC 8460 section 4.4, empty
// policy-string).
bool stands_for_fetch_failure(const AppliedPolicy& policy) {
  return policy.type == Type::sts && policy.mode == StsMode::none && policy.text.empty();
}

}  // namespace

std::vector<SessionOutcome> session_outcomes(const MxPlan& mx, const SessionFacts& facts) {
  if (facts.report_domain.empty()) return {};
  std::vector<AppliedPolicy> policies = mx.policies;
  if (policies.empty()) {
    AppliedPolicy none;
    none.policy_domain = facts.report_domain;
    policies.push_back(none);
  }
  std::vector<SessionOutcome> out;
  for (const AppliedPolicy& policy : policies) {
    SessionOutcome o = base_outcome(policy, facts.report_domain, facts.at);
    TlsFailure failure = failure_under(policy, mx, facts);
    // RFC 7672 section 2.2: TLS went on without authentication. RFC 8460 section 4.3.2 has it told.
    if (!failure && nothing_usable(policy, mx))
      failure = {TlsError::tlsa_unusable, describe(PlanFinding::tlsa_all_unusable), {}};
    const bool stray_mx = policy.type == Type::sts && mx.finding == PlanFinding::mx_not_in_policy;
    if (stands_for_fetch_failure(policy)) {
      if (!facts.sts_fetch_failure) continue;
      o.result = result_type_of(*facts.sts_fetch_failure);
      o.additional_information = describe(*facts.sts_fetch_failure);
      out.push_back(std::move(o));
      continue;
    }
    // The stray MX counts first: with its name outside the policy, enforce would not even have connected.
    o.result = stray_mx ? result_type_of(mx.finding) : result_type_of(failure, policy.type);
    if (o.result != ResultType::success) {
      o.sending_ip = facts.sending_ip;
      o.mx_host = mx.mx.name.text();
      o.mx_helo = facts.mx_helo;
      o.receiving_ip = facts.receiving_ip;
      o.additional_information = stray_mx ? mx.detail : failure.detail;
      o.reason_code = stray_mx ? kNotInPolicy : reason_code_of(failure);
    }
    out.push_back(std::move(o));
  }
  return out;
}

std::vector<SessionOutcome> refused_mx_outcomes(const MxPlan& mx, const DomainName& report_domain,
                                                WallTime at) {
  const bool stray_mx = mx.finding == PlanFinding::mx_not_in_policy;
  if (report_domain.empty() || (!stray_mx && mx.finding != PlanFinding::tlsa_unknown)) return {};
  const ResultType result = result_type_of(mx.finding);
  if (result == ResultType::success) return {};
  const Type blamed = stray_mx ? Type::sts : Type::tlsa;
  std::vector<SessionOutcome> out;
  for (const AppliedPolicy& policy : mx.policies) {
    if (policy.type != blamed) continue;
    SessionOutcome o = base_outcome(policy, report_domain, at);
    o.result = result;
    o.mx_host = mx.mx.name.text();
    o.additional_information = mx.detail;
    if (stray_mx) o.reason_code = kNotInPolicy;
    out.push_back(std::move(o));
  }
  return out;
}

ResultType overlooked(const MxPlan& mx, const std::vector<SessionOutcome>& outcomes) {
  for (const SessionOutcome& o : outcomes)
    // A set that cannot be used is reported, but enforcing does without it, too.
    if (o.result != ResultType::success && o.result != ResultType::tlsa_invalid && !o.policy.enforced &&
        domain_enforces(o.policy))
      return o.result;
  const bool unknown = mx.usable && mx.finding == PlanFinding::tlsa_unknown;
  return unknown ? result_type_of(mx.finding) : ResultType::success;
}

const char* policy_type_name(AppliedPolicy::Type type) {
  switch (type) {
    case Type::sts: return "sts";
    case Type::tlsa: return "tlsa";
    case Type::none: break;
  }
  return "no-policy-found";
}

}  // namespace holdfast
