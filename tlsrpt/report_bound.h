// tlsrpt/report_bound.h — keeps a report below a size that receivers take. Pure.
#pragma once

#include "tlsrpt/report.h"

namespace holdfast {

// Unpacked, octets. Receivers of RFC 8460 are advised to refuse what is out of proportion; gzip makes a tenth
// of it.
inline constexpr std::size_t kMaxReportSize = 4 * 1024 * 1024;

// The report's JSON, of at most `max_size` octets whatever the day brought: the smallest failures are folded
// into one line that says so, then policy texts are left out, then further policies are counted together. No
// count is lost.
std::string bounded_report_json(Report report, std::size_t max_size = kMaxReportSize);

}  // namespace holdfast
