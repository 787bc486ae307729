// tlsrpt/report.h — one day's report for one policy domain, RFC 8460 section 4. Pure: rows in, report out.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "tlsrpt/ledger.h"

namespace holdfast {

struct FailureDetails {
  ResultType result = ResultType::validation_failure;
  std::string sending_mta_ip, receiving_mx_hostname, receiving_mx_helo, receiving_ip;
  std::uint64_t failed_sessions = 0;
  std::string additional_information, reason_code;
};

struct ReportedPolicy {
  std::string type;               // sts | tlsa | no-policy-found
  std::vector<std::string> text;  // policy-string
  std::string domain;             // policy-domain
  std::vector<std::string> mx;    // mx-host, patterns of an sts policy
  std::uint64_t successful = 0, failed = 0;
  std::vector<FailureDetails> failures;  // the largest first
};

struct Report {
  std::string organization, contact, report_id;
  std::chrono::sys_days day;
  DomainName domain;  // whose _smtp._tls names the receivers
  std::vector<ReportedPolicy> policies;
};

struct ReportSender {
  std::string organization;  // tlsrpt.organization
  std::string contact;       // tlsrpt.contact, an address
  std::string node;          // hostname
};

// One report per report domain in `rows` (all of one day), ordered by domain. Rows whose policy texts are the
// same are one policy; a policy that changed within the day gives two.
std::vector<Report> build_reports(const std::vector<LedgerRow>& rows, const ReportSender& sender);

// "20261121.example.com@relay.example.com": the same on every retry, unique per node, domain and day.
std::string report_id(std::chrono::sys_days day, const DomainName& domain, const std::string& node);

}  // namespace holdfast
