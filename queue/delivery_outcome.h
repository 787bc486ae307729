// queue/delivery_outcome.h — what a TLS session adds to the ledger (RFC 8460 section 4). Pure.
//
// A session is one handshake, or one refusal before it, counted once under each policy that was applied to
// its MX; under `no-policy-found` when there was none. Failures that a watched policy (testing, observe)
// would have caused count like those of an enforced one, though the mail was delivered.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tlsrpt/outcome.h"

namespace holdfast {

struct SessionFacts {
  WallTime at{};             // by the wall clock: reports are by UTC day
  DomainName report_domain;  // the next hop's; empty: nobody to report to
  std::string sending_ip;
  std::string mx_helo;
  std::string receiving_ip;
  TlsFailure failure;    // why the handshake failed; none: it succeeded
  TlsEvidence evidence;  // what it proved, also when it failed as far as known
  std::optional<StsError>
      sts_fetch_failure;  // of the plan: the session counts as that failure (RFC 8460 section 4.3.2.3)
};

std::vector<SessionOutcome> session_outcomes(const MxPlan& mx, const SessionFacts& facts);

// An MX that policy excludes: one outcome per attempt to deliver (RFC 8461 section 4.1).
std::vector<SessionOutcome> refused_mx_outcomes(const MxPlan& mx, const DomainName& report_domain,
                                                WallTime at);

// What enforcing would have refused the session for, where an [[exception]] or mode observe lets it go on;
// success: nothing.
ResultType overlooked(const MxPlan& mx, const std::vector<SessionOutcome>& outcomes);

// What `tls_sessions_total{policy}` and the log call it: "sts", "tlsa", "no-policy-found".
const char* policy_type_name(AppliedPolicy::Type type);

}  // namespace holdfast
