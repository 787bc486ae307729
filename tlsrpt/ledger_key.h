// tlsrpt/ledger_key.h — the identity of a ledger row as one string, and the way back. Pure.
#pragma once

#include <string>

#include "tlsrpt/outcome.h"

namespace holdfast {

// Policies are equal when their texts are; a change within the day gives two entries (RFC 8460 section 4).
// A digest stands for the texts: the key of a row is short, however large its policy.
std::string policy_key(const AppliedPolicy& policy);
// The failure tuple; "" for a success.
std::string failure_key(const SessionOutcome& outcome);
// `policy` is policy_key() of its policy, for those who have it at hand.
std::string ledger_key(const SessionOutcome& outcome, const std::string& policy);
std::string ledger_key(const SessionOutcome& outcome);

// Lines joined by LF, and back; lines hold no LF.
std::string join_lines(const std::vector<std::string>& lines);
std::vector<std::string> split_lines(std::string_view text);

}  // namespace holdfast
