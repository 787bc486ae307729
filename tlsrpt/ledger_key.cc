#include "tlsrpt/ledger_key.h"

namespace holdfast {

namespace {

constexpr char kSeparator = '\x1f';  // in no field: they are names, addresses and sanitised text

}  // namespace

std::string join_lines(const std::vector<std::string>& lines) {
  std::string out;
  for (const auto& line : lines) {
    if (!out.empty()) out += '\n';
    out += line;
  }
  return out;
}

std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const auto end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

std::string policy_key(const AppliedPolicy& policy) {
  std::string key = std::to_string(static_cast<int>(policy.type));
  key += kSeparator + policy.policy_domain.text();
  key += kSeparator + join_lines(policy.text);
  key += kSeparator + join_lines(policy.mx);
  return key;
}

std::string failure_key(const SessionOutcome& outcome) {
  if (outcome.result == ResultType::success) return "";
  std::string key = outcome.sending_ip;
  for (const auto* part : {&outcome.mx_host, &outcome.mx_helo, &outcome.receiving_ip,
                           &outcome.additional_information, &outcome.reason_code}) {
    key += kSeparator + *part;
  }
  return key;
}

std::string ledger_key(const SessionOutcome& outcome) {
  std::string key = std::to_string(outcome.day.time_since_epoch().count());
  key += kSeparator + outcome.report_domain.text();
  key += kSeparator + policy_key(outcome.policy);
  key += kSeparator + std::to_string(static_cast<int>(outcome.result));
  key += kSeparator + failure_key(outcome);
  return key;
}

}  // namespace holdfast
