#include "tlsrpt/report.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "tlsrpt/ledger_key.h"

namespace holdfast {

namespace {

bool is_policy(const AppliedPolicy& policy) {
  if (policy.type == AppliedPolicy::Type::none) return false;
  // A policy in mode none asks for nothing; RFC 8460 section 4.4 has no other word for it. An sts entry
  // without text is one that could not be had: its mode is not known.
  return policy.type != AppliedPolicy::Type::sts || policy.text.empty() || policy.mode != StsMode::none;
}

ReportedPolicy reported(const AppliedPolicy& policy, const DomainName& report_domain) {
  ReportedPolicy out;
  out.domain = policy.policy_domain.empty() ? report_domain.text() : policy.policy_domain.text();
  if (!is_policy(policy)) {
    out.type = "no-policy-found";
    out.domain = report_domain.text();
    return out;
  }
  out.type = policy.type == AppliedPolicy::Type::sts ? "sts" : "tlsa";
  out.text = policy.text.list();
  out.mx = policy.mx.list();
  return out;
}

void count(ReportedPolicy& policy, const LedgerRow& row) {
  const auto& outcome = row.outcome;
  if (outcome.result == ResultType::success) {
    policy.successful += row.sessions;
    return;
  }
  policy.failed += row.sessions;
  FailureDetails details;
  details.result = outcome.result;
  details.sending_mta_ip = outcome.sending_ip;
  details.receiving_mx_hostname = outcome.mx_host;
  details.receiving_mx_helo = outcome.mx_helo;
  details.receiving_ip = outcome.receiving_ip;
  details.failed_sessions = row.sessions;
  details.additional_information = outcome.additional_information;
  details.reason_code = outcome.reason_code;
  policy.failures.push_back(std::move(details));
}

}  // namespace

std::string report_id(std::chrono::sys_days day, const DomainName& domain, const std::string& node) {
  return fmt::format("{:%Y%m%d}.{}@{}", std::chrono::sys_seconds(day), domain.text(), node);
}

std::vector<Report> build_reports(const std::vector<LedgerRow>& rows, const ReportSender& sender) {
  std::map<std::string, Report> reports;
  std::map<std::pair<std::string, std::string>, std::size_t> places;  // (domain, policy) → index in policies
  for (const auto& row : rows) {
    const auto& domain = row.outcome.report_domain;
    Report& report = reports[domain.text()];
    if (report.report_id.empty()) {
      report.organization = sender.organization;
      report.contact = sender.contact;
      report.day = row.outcome.day;
      report.domain = domain;
      report.report_id = report_id(report.day, domain, sender.node);
    }
    const std::string key = is_policy(row.outcome.policy) ? policy_key(row.outcome.policy) : "";
    const auto [place, is_new] = places.try_emplace({domain.text(), key}, report.policies.size());
    if (is_new) report.policies.push_back(reported(row.outcome.policy, domain));
    count(report.policies[place->second], row);
  }
  std::vector<Report> out;
  for (auto& [name, report] : reports) {
    for (auto& policy : report.policies) {
      std::stable_sort(policy.failures.begin(), policy.failures.end(),
                       [](const auto& a, const auto& b) { return a.failed_sessions > b.failed_sessions; });
    }
    out.push_back(std::move(report));
  }
  return out;
}

}  // namespace holdfast
