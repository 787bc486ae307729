#include "tlsrpt/outcome.h"

namespace holdfast {

const char* name(ResultType type) {
  switch (type) {
    case ResultType::success: return "successful";
    case ResultType::starttls_not_supported: return "starttls-not-supported";
    case ResultType::certificate_host_mismatch: return "certificate-host-mismatch";
    case ResultType::certificate_expired: return "certificate-expired";
    case ResultType::certificate_not_trusted: return "certificate-not-trusted";
    case ResultType::validation_failure: return "validation-failure";
    case ResultType::tlsa_invalid: return "tlsa-invalid";
    case ResultType::dnssec_invalid: return "dnssec-invalid";
    case ResultType::dane_required: return "dane-required";
    case ResultType::sts_policy_fetch_error: return "sts-policy-fetch-error";
    case ResultType::sts_policy_invalid: return "sts-policy-invalid";
    case ResultType::sts_webpki_invalid: return "sts-webpki-invalid";
  }
  return "validation-failure";
}

}  // namespace holdfast
