// tlsrpt/report_json.h — a report as RFC 8460 section 4.4 writes it. Pure.
#pragma once

#include <string>
#include <vector>

#include "tlsrpt/record.h"
#include "tlsrpt/report.h"

namespace holdfast {

// The JSON object of the report, one line.
std::string report_json(const Report& report);

// The way back, for a report of ours that was stored. BaseError::malformed when it is none.
Result<Report> report_from_json(std::string_view json, std::chrono::sys_days day, const DomainName& domain);

// The line of `holdfast tlsrpt preview --json`: {schema, domain, day, targets, report}. `targets_unknown`
// says why the targets could not be looked up, "" when they could.
std::string preview_json(const Report& report, const std::vector<ReportTarget>& targets,
                         const std::string& targets_unknown);

}  // namespace holdfast
