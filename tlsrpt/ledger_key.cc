#include "tlsrpt/ledger_key.h"

#include <openssl/evp.h>

#include <array>
#include <span>

namespace holdfast {

namespace {

std::string sha256(std::string_view data) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (EVP_Digest(data.data(), data.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1)
    return std::string(data);  // no two policies may become one
  std::string hex;
  for (const unsigned char octet : std::span(digest).first(size)) {
    hex += "0123456789abcdef"[octet >> 4];
    hex += "0123456789abcdef"[octet & 15];
  }
  return hex;
}

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
  if (policy.text.empty() && policy.mx.empty()) return key;
  key += kSeparator + sha256(join_lines(policy.text) + kSeparator + join_lines(policy.mx));
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

std::string ledger_key(const SessionOutcome& outcome, const std::string& policy) {
  std::string key = std::to_string(outcome.day.time_since_epoch().count());
  key += kSeparator + outcome.report_domain.text();
  key += kSeparator + policy;
  key += kSeparator + std::to_string(static_cast<int>(outcome.result));
  key += kSeparator + failure_key(outcome);
  return key;
}

std::string ledger_key(const SessionOutcome& outcome) {
  return ledger_key(outcome, policy_key(outcome.policy));
}

}  // namespace holdfast
