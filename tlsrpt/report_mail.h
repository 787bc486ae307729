// tlsrpt/report_mail.h — a report as a mail, RFC 8460 section 5.3. Pure: the same report and date, the same
// mail.
//
// It goes out signed (section 3) by the submitter's domain, kSignedReportFields among the signed header
// fields.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "smtp/base/clock.h"
#include "tlsrpt/report.h"

namespace holdfast {

// Must be in h= of the signature, RFC 8460 section 5.3.
inline constexpr std::array<std::string_view, 2> kSignedReportFields{"TLS-Report-Domain",
                                                                     "TLS-Report-Submitter"};

// The domain of the contact address: submitter, From and DKIM d= of report mail. "" when it is no address.
std::string submitter_of(std::string_view contact);

// "<submitter>!<policy domain>!<begin>!<end>.json.gz", section 5.1.
std::string report_filename(const Report& report);

// The whole message with CRLF line ends. `to` is the address of a mailto target, `json_gz` the packed report.
std::string report_mail(const Report& report, std::string_view json_gz, std::string_view to, WallTime date);

}  // namespace holdfast
