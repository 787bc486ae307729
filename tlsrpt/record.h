// tlsrpt/record.h — the TXT record at _smtp._tls.<policy domain>, RFC 8460 section 3. Pure: no I/O.
//
// Records that are not of version TLSRPTv1 are dropped first; then exactly one must remain, as with MTA-STS.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "smtp/base/result.h"

namespace holdfast {

struct ReportTarget {
  enum class Kind { mailto, https } kind = Kind::mailto;
  std::string
      address;  // mailto: local@domain, percent-decoded, without header fields; https: the URL as given
  std::string uri() const;
  bool operator==(const ReportTarget&) const = default;
};

struct TlsrptRecord {
  std::vector<ReportTarget> targets;  // as listed; unknown schemes are skipped, so it may be empty
};

inline constexpr std::size_t kMaxReportTargets = 10;  // further ones are skipped: a record is no mailing list

// One record, its strings joined without a space. Error: BaseError::malformed and why.
Result<TlsrptRecord> parse_tlsrpt_record(std::string_view text);

// Among all TXT records of the name: nullopt when none is of version TLSRPTv1. Error: BaseError::malformed
// when several are, or the one breaks the grammar.
Result<std::optional<TlsrptRecord>> find_tlsrpt_record(const std::vector<std::string>& txt);

}  // namespace holdfast
