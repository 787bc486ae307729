#include "tlsrpt/result_type.h"

namespace holdfast {

ResultType result_type_of(const TlsFailure& failure, AppliedPolicy::Type policy) {
  switch (failure.error) {
    case TlsError::none: return ResultType::success;
    case TlsError::not_offered:
    case TlsError::refused: return ResultType::starttls_not_supported;
    case TlsError::host_mismatch: return ResultType::certificate_host_mismatch;
    case TlsError::expired:
    // RFC 8460 section 4.3.2.1 has one type for a certificate out of its time.
    case TlsError::not_yet_valid: return ResultType::certificate_expired;
    case TlsError::untrusted: return ResultType::certificate_not_trusted;
    case TlsError::tlsa_mismatch:
      // Section 4.3.2.3: tlsa-invalid is a record that cannot be used; one that does not match the chain is a
      // failure of validation.
      return ResultType::validation_failure;
    case TlsError::tlsa_unusable:
      return policy == AppliedPolicy::Type::tlsa ? ResultType::tlsa_invalid : ResultType::validation_failure;
    // Section 4.3.2.1: "for reasons not in the list": the handshake itself.
    case TlsError::injected:
    case TlsError::connection_lost:
    case TlsError::timed_out:
    case TlsError::protocol:
    case TlsError::no_certificate:
    case TlsError::version_too_low:
    case TlsError::requiretls_missing: return ResultType::validation_failure;
  }
  return ResultType::validation_failure;
}

ResultType result_type_of(PlanFinding finding) {
  switch (finding) {
    case PlanFinding::mx_not_in_policy: return ResultType::validation_failure;
    case PlanFinding::tlsa_unknown: return ResultType::dnssec_invalid;
    case PlanFinding::tlsa_all_unusable: return ResultType::tlsa_invalid;
    case PlanFinding::sts_fetch_failed: return ResultType::sts_policy_fetch_error;
    case PlanFinding::none:
    case PlanFinding::sts_unknown:
    case PlanFinding::not_authenticated:
    case PlanFinding::exception_applied:
    case PlanFinding::address_unknown: return ResultType::success;
  }
  return ResultType::success;
}

ResultType result_type_of(StsError error) {
  switch (error) {
    case StsError::policy_invalid: return ResultType::sts_policy_invalid;
    case StsError::tls_failed: return ResultType::sts_webpki_invalid;
    default: return ResultType::sts_policy_fetch_error;
  }
}

std::string reason_code_of(const TlsFailure& failure) { return failure.code; }

}  // namespace holdfast
