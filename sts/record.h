// sts/record.h — the TXT record at _mta-sts.<domain>, RFC 8461 section 3.1. Pure: no I/O.
//
// Records that are not of version STSv1 are dropped first; then exactly one must remain. A stray record
// (SPF, verification tokens, junk) therefore cannot switch a policy off.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "smtp/base/result.h"

namespace holdfast {

struct StsRecord {
  std::string id;  // 1 to 32 of ALPHA and DIGIT
  bool operator==(const StsRecord&) const = default;
};

// One record, its strings already joined without a space. Error: StsError::record_invalid and why.
Result<StsRecord> parse_sts_record(std::string_view text);

// The record among all TXT records of the name: nullopt when none is of version STSv1.
// Error: StsError::record_invalid when several are, or the one breaks the grammar.
Result<std::optional<StsRecord>> find_sts_record(const std::vector<std::string>& txt);

}  // namespace holdfast
