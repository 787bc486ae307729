// tlsrpt/report_summary.h — what received reports say together, for the owner of a domain: `holdfast tlsrpt
// read`.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tlsrpt/received_report.h"

namespace holdfast {

// Sessions of one policy, over all reports.
struct PolicyTotal {
  std::string domain, type;
  std::uint64_t successful = 0, failed = 0;
  std::set<std::string> days, sources;  // sources: organization names of the senders
};

// One kind of failure at one MX.
struct FailureTotal {
  std::string domain, type, result, mx;
  std::uint64_t sessions = 0;
  std::set<std::string> days, sources, details;  // details: reason codes and additional information
};

struct SourceTotal {
  std::string organization;
  std::uint64_t reports = 0, successful = 0, failed = 0;
  std::set<std::string> days;
};

struct ReportSummary {
  std::vector<PolicyTotal> policies;        // by domain and type
  std::vector<FailureTotal> failures;       // the most sessions first
  std::vector<SourceTotal> sources;         // the most sessions first
  std::uint64_t reports = 0, repeated = 0;  // repeated: same organization and report id, counted once
};

ReportSummary summarise(const std::vector<ReceivedReport>& reports);

// What the owner of the domain should do about this result, one sentence.
const char* advice_for(std::string_view result);

// Columns for people; control characters of the reports are made harmless.
std::string summary_text(const ReportSummary& summary);
// JSON lines: {"schema":1,"kind":"policy"|"failure"|"source",…}.
std::string summary_json(const ReportSummary& summary);

}  // namespace holdfast
