// tlsrpt/outcome.h — the outcome of one TLS session as the ledger counts it. RFC 8460 section 4.
//
// A session is one handshake (or one refusal before it), counted once under each policy that was applied.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "smtp/base/domain_name.h"
#include "sts/tls_planner.h"

namespace holdfast {

// RFC 8460 section 4.3.
enum class ResultType {
  success = 0,
  starttls_not_supported,
  certificate_host_mismatch,
  certificate_expired,
  certificate_not_trusted,
  validation_failure,
  tlsa_invalid,
  dnssec_invalid,
  dane_required,
  sts_policy_fetch_error,
  sts_policy_invalid,
  sts_webpki_invalid,
};
const char* name(ResultType type);  // "starttls-not-supported"

struct SessionOutcome {
  std::chrono::sys_days day;  // UTC day of the handshake
  DomainName report_domain;   // whose _smtp._tls record names the receivers: the next-hop domain
  AppliedPolicy policy;       // type sts with empty text: a fetch failure without a policy
  ResultType result = ResultType::success;
  // Failures only:
  std::string sending_ip;
  std::string mx_host;  // receiving-mx-hostname
  std::string mx_helo;
  std::string receiving_ip;
  std::string additional_information;
  std::string reason_code;
};

class Ledger {
 public:
  virtual ~Ledger() = default;
  // Counts it; durable within a second. Any thread; never blocks, never fails the caller (invariant 40).
  virtual void record(SessionOutcome outcome) = 0;
};

}  // namespace holdfast
