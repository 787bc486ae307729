#include "sts/policy.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "smtp/base/utf8.h"
#include "smtp/wire/ascii.h"
#include "sts/sts_error.h"

namespace holdfast {
namespace {

constexpr std::chrono::seconds kLongestMaxAge{31557600};  // RFC 8461 section 3.2: about a year
constexpr std::size_t kMaxAgeDigits = 10;

// The line as a report may carry it: valid UTF-8 without control characters.
std::string sanitised(std::string_view line) {
  std::string clean;
  clean.reserve(line.size());
  while (!line.empty()) {
    const std::size_t length = utf8_length(line);
    const auto first = static_cast<unsigned char>(line.front());
    if (length == 0 || (length == 1 && (first < ' ' || first == 0x7f) && first != '\t')) {
      clean += '?';
      line.remove_prefix(1);
      continue;
    }
    clean += line.substr(0, length);
    line.remove_prefix(length);
  }
  return clean;
}

Error invalid(std::size_t line, std::string what) {
  return Error(StsError::policy_invalid, "line " + std::to_string(line) + ": " + std::move(what));
}

std::optional<StsMode> parse_mode(std::string_view value) {
  for (const StsMode mode : {StsMode::none, StsMode::testing, StsMode::enforce}) {
    if (value == name(mode)) return mode;
  }
  return std::nullopt;
}

std::optional<std::chrono::seconds> parse_max_age(std::string_view value) {
  if (value.empty() || value.size() > kMaxAgeDigits) return std::nullopt;
  std::int64_t number = 0;
  for (const char c : value) {
    if (c < '0' || c > '9') return std::nullopt;
    number = number * 10 + (c - '0');
  }
  return std::min(std::chrono::seconds(number), kLongestMaxAge);
}

// The pattern in A-labels; nullopt when it can match nothing.
std::optional<std::string> parse_pattern(std::string_view value) {
  const bool wildcard = value.starts_with("*.");
  auto host = DomainName::parse(wildcard ? value.substr(2) : value);
  if (!host || host->empty()) return std::nullopt;
  return wildcard ? "*." + host->text() : host->text();
}

}  // namespace

const char* name(StsMode mode) {
  switch (mode) {
    case StsMode::none: return "none";
    case StsMode::testing: return "testing";
    case StsMode::enforce: return "enforce";
  }
  return "unknown";
}

Result<StsPolicy> StsPolicy::parse(std::string_view text) {
  StsPolicy policy;
  std::vector<std::string> lines, mx;
  bool version = false, has_mode = false, has_max_age = false;
  std::string unusable;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (trim_blanks(line).empty()) continue;
    if (lines.size() == kMaxPolicyLines)
      return invalid(number, "more than " + std::to_string(kMaxPolicyLines) + " lines");
    lines.push_back(sanitised(line));

    const std::size_t colon = line.find(':');
    // The grammar knows no line without a colon. It is passed over like an unknown key: refusing the policy
    // for it would leave a domain that asked for protection without any.
    if (colon == std::string_view::npos) continue;
    const std::string_view key = trim_blanks(line.substr(0, colon)),
                           value = trim_blanks(line.substr(colon + 1));
    if (key == "version") {
      if (version) continue;  // of a repeated key other than mx, the first counts
      if (value != "STSv1") return invalid(number, "version is not STSv1");
      version = true;
    } else if (key == "mode") {
      if (has_mode) continue;
      const auto mode = parse_mode(value);
      if (!mode) return invalid(number, "mode is none of none, testing and enforce");
      policy.mode = *mode;
      has_mode = true;
    } else if (key == "max_age") {
      if (has_max_age) continue;
      const auto max_age = parse_max_age(value);
      if (!max_age) return invalid(number, "max_age is not a number of 1 to 10 digits");
      policy.max_age = *max_age;
      has_max_age = true;
    } else if (key == "mx") {
      if (auto pattern = parse_pattern(value)) {
        mx.push_back(std::move(*pattern));
      } else if (unusable.empty()) {
        unusable = " (line " + std::to_string(number) + ": not a host name or \"*.\" and a name)";
      }
    }
  }
  if (!version) return Error(StsError::policy_invalid, "no version");
  if (!has_mode) return Error(StsError::policy_invalid, "no mode");
  if (!has_max_age) return Error(StsError::policy_invalid, "no max_age");
  if (policy.mode != StsMode::none && mx.empty()) {
    return Error(StsError::policy_invalid, "no usable mx" + unusable);
  }
  policy.lines = std::move(lines);
  policy.mx = std::move(mx);
  return policy;
}

bool StsPolicy::matches(const DomainName& mx_host) const {
  return std::any_of(mx.begin(), mx.end(),
                     [&](const std::string& pattern) { return mx_pattern_matches(pattern, mx_host); });
}

bool mx_pattern_matches(std::string_view pattern, const DomainName& mx_host) {
  const std::string_view host = mx_host.text();
  if (host.empty()) return false;
  if (!pattern.starts_with("*.")) return pattern == host;
  const std::size_t dot = host.find('.');  // `*` is exactly one label: the left-most (section 4.1)
  return dot != std::string_view::npos && dot > 0 && host.substr(dot) == pattern.substr(1);
}

}  // namespace holdfast
