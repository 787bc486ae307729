// tlsrpt/result_type.h — the only place that turns what went wrong into RFC 8460 section 4.3's result types.
// Pure.
#pragma once

#include <string>

#include "tlsrpt/outcome.h"

namespace holdfast {

// A handshake or STARTTLS failure under a policy of this type. TlsError::none is ResultType::success.
ResultType result_type_of(const TlsFailure& failure, AppliedPolicy::Type policy);

// An MX that the plan excluded, or a finding on use; success for findings that are no failure.
ResultType result_type_of(PlanFinding finding);

// A policy that could not be had.
ResultType result_type_of(StsError error);

// failure-reason-code: the machine-readable cause where there is one ("alert-48", "http-404").
std::string reason_code_of(const TlsFailure& failure);

}  // namespace holdfast
