// mta/check_verdict.h — what a message would have met, told from the connections of a dry run: the verdict on
// each MX, then on the message. For check_domain alone. Pure.
#pragma once

#include <optional>
#include <vector>

#include "mta/check_domain.h"
#include "tlsrpt/outcome.h"

namespace holdfast {

// Verdict, reason and hint of an MX whose addresses have been tried.
void judge(CheckedMx& mx);

// What the walk over all hops found.
struct Walk {
  std::vector<SessionOutcome> outcomes;
  std::optional<Verdict> best;  // why not
  bool reached = false;
  bool all_unknown = true;
};

// Hop by hop, until one takes the message or decides about it. Fills in verdict and message of the result.
Walk walk_all(CheckResult& result);

}  // namespace holdfast
