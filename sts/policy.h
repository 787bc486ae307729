// sts/policy.h — an MTA-STS policy, RFC 8461 section 3.2, and how MX names are matched against it,
// section 4.1. Pure: no I/O.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "smtp/base/domain_name.h"
#include "smtp/base/result.h"
#include "sts/shared_lines.h"

namespace holdfast {

enum class StsMode { none, testing, enforce };
const char* name(StsMode mode);

// A domain has a line per MX, and nobody has a thousand. 64 KiB of one-letter lines would take a megabyte in
// memory, and as many look-ups per MX. RFC 8461 leaves limits to the sender (section 3.2 asks only that
// unknown keys be passed over).
inline constexpr std::size_t kMaxPolicyLines = 1000;  // blank ones do not count

struct StsPolicy {
  StsMode mode = StsMode::none;
  std::chrono::seconds max_age{0};  // 0 to 31557600
  SharedLines mx;                   // A-labels: "mx.example", "*.example"
  // The lines as fetched, for policy-string in TLS reports (RFC 8460 section 4.4); CR removed, sanitised.
  SharedLines lines;

  // Error: StsError::policy_invalid with the line and what is wrong with it.
  static Result<StsPolicy> parse(std::string_view text);
  // `*` stands for exactly one label.
  bool matches(const DomainName& mx_host) const;
  bool operator==(const StsPolicy&) const = default;
};

bool mx_pattern_matches(std::string_view pattern, const DomainName& mx_host);

}  // namespace holdfast
