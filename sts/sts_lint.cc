#include "sts/sts_lint.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "smtp/wire/ascii.h"
#include "sts/record.h"

namespace holdfast {
namespace {

using Severity = LintFinding::Severity;
using Findings = std::vector<LintFinding>;

constexpr std::size_t kLargestPolicy = 64 * 1024;  // RFC 8461 section 3.3
constexpr std::int64_t kDay = 86400, kYear = 31557600;

void lint_record(const std::vector<std::string>& txt, Findings& findings) {
  const auto add = [&](Severity severity, std::string text) {
    findings.push_back({severity, "record", std::move(text)});
  };
  const auto record = find_sts_record(txt);
  if (!record) return add(Severity::error, record.error().detail);
  if (!*record) {
    add(Severity::error, "no TXT record begins with \"v=STSv1;\": the domain has no policy");
    return;
  }
  std::size_t strays = 0;
  for (const std::string& text : txt) strays += !text.starts_with("v=STSv1");
  if (strays > 0)
    add(Severity::warning,
        fmt::format("{} other TXT records stand beside it; some senders stumble over them", strays));
  const bool strict = std::any_of(txt.begin(), txt.end(),
                                  [](const std::string& text) { return text.starts_with("v=STSv1;"); });
  if (!strict)
    add(Severity::warning,
        "white space between \"v=STSv1\" and the semicolon: some senders drop such a record");
}

// One line as the parser sees it, for the things that it passes over.
struct Line {
  std::size_t number = 0;
  std::string_view key, value;
  bool colon = false, blank = false;
};

std::vector<Line> lines_of(std::string_view text) {
  std::vector<Line> lines;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    const std::size_t colon = line.find(':');
    Line found{number, line.substr(0, colon), {}, colon != std::string_view::npos, trim_blanks(line).empty()};
    if (found.colon) found.value = trim_blanks(line.substr(colon + 1));
    lines.push_back(found);
  }
  return lines;
}

void lint_lines(std::string_view text, Findings& findings) {
  const auto add = [&](Severity severity, const Line& line, std::string what) {
    findings.push_back({severity, fmt::format("policy line {}", line.number), std::move(what)});
  };
  std::set<std::string, std::less<>> keys, patterns;
  for (const Line& line : lines_of(text)) {
    if (line.blank) {
      add(Severity::hint, line, "an empty line, which the grammar does not know");
    } else if (!line.colon) {
      add(Severity::warning, line, "no \"key: value\"; strict senders refuse the whole policy");
    } else if (line.key != trim_blanks(line.key)) {
      add(Severity::warning, line, "white space around the key; strict senders do not know it");
    } else if (line.key == "mx") {
      const bool wildcard = line.value.starts_with("*.");
      const auto host = DomainName::parse(wildcard ? line.value.substr(2) : line.value);
      if (!host) {
        add(Severity::error, line,
            fmt::format("\"{}\" matches nothing: {}", line.value, host.error().detail));
      } else if (!patterns.insert((wildcard ? "*." : "") + host->text()).second) {
        add(Severity::hint, line, "the same mx again");
      }
    } else if (line.key != "version" && line.key != "mode" && line.key != "max_age") {
      add(Severity::hint, line, fmt::format("unknown key \"{}\"", line.key));
    } else if (!keys.insert(std::string(line.key)).second) {
      add(Severity::warning, line,
          fmt::format("a second \"{}\": the first counts, but not for every sender", line.key));
    } else if (line.key == "max_age") {
      const bool number =
          !line.value.empty() && line.value.size() <= 10 &&
          std::all_of(line.value.begin(), line.value.end(), [](char c) { return c >= '0' && c <= '9'; });
      const std::int64_t seconds = number ? std::stoll(std::string(line.value)) : 0;
      if (number && seconds > kYear)
        add(Severity::warning, line, fmt::format("more than the maximum of {}", kYear));
      if (number && seconds < kDay)
        add(Severity::warning, line, "less than a day: an attacker has only to wait that long");
      if (number && seconds >= kDay && seconds < 7 * kDay)
        add(Severity::hint, line, "weeks are better than days (RFC 8461 section 3.2)");
    }
  }
}

void lint_mx(const StsPolicy& policy, const std::vector<DomainName>& mx, Findings& findings) {
  if (policy.mode == StsMode::none) return;
  if (mx.empty()) findings.push_back({Severity::error, "mx", "the domain has no MX"});
  for (const DomainName& host : mx) {
    if (policy.matches(host)) continue;
    const bool enforce = policy.mode == StsMode::enforce;
    findings.push_back({enforce ? Severity::error : Severity::warning, "mx",
                        fmt::format("{} is in the MX set but matches no mx of the policy: {}", host.text(),
                                    enforce ? "no sender may use it"
                                            : "no sender will use it once the policy is enforced")});
  }
  for (const std::string& pattern : policy.mx) {
    if (std::none_of(mx.begin(), mx.end(),
                     [&](const DomainName& host) { return mx_pattern_matches(pattern, host); })) {
      findings.push_back({Severity::hint, "mx", pattern + " matches none of the MX hosts"});
    }
  }
}

void lint_policy(const std::string& text, const std::optional<std::vector<DomainName>>& mx,
                 Findings& findings) {
  if (text.starts_with("\xef\xbb\xbf"))
    findings.push_back({Severity::error, "policy", "begins with a byte order mark"});
  if (text.size() > kLargestPolicy) findings.push_back({Severity::error, "policy", "larger than 64 KiB"});
  lint_lines(text, findings);
  const auto policy = StsPolicy::parse(text);
  if (!policy) {
    findings.push_back({Severity::error, "policy", policy.error().detail});
    return;
  }
  if (policy->mode == StsMode::testing) {
    findings.push_back(
        {Severity::hint, "policy", "mode testing: failures are reported, but nothing is protected"});
  }
  if (mx) lint_mx(*policy, *mx, findings);
}

}  // namespace

const char* name(LintFinding::Severity severity) {
  switch (severity) {
    case Severity::error: return "error";
    case Severity::warning: return "warning";
    case Severity::hint: return "hint";
  }
  return "unknown";
}

std::vector<LintFinding> lint_sts(const LintInput& input) {
  Findings findings;
  if (input.txt) lint_record(*input.txt, findings);
  if (input.policy) lint_policy(*input.policy, input.mx, findings);
  return findings;
}

StsSetup generate_sts(const DomainName& domain, StsMode mode, const std::vector<DomainName>& mx,
                      std::chrono::seconds max_age, WallTime now) {
  const auto day = std::chrono::floor<std::chrono::days>(now);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(std::chrono::floor<std::chrono::seconds>(now - day));
  StsSetup setup;
  setup.record = fmt::format("v=STSv1; id={:04}{:02}{:02}{:02}{:02}{:02}Z;", static_cast<int>(date.year()),
                             static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                             time.hours().count(), time.minutes().count(), time.seconds().count());
  setup.policy = fmt::format("version: STSv1\r\nmode: {}\r\n", name(mode));
  for (const DomainName& host : mx) setup.policy += "mx: " + host.text() + "\r\n";
  setup.policy += fmt::format("max_age: {}\r\n", max_age.count());
  setup.zone = {
      fmt::format("_mta-sts.{}. 3600 IN TXT \"{}\"", domain.text(), setup.record),
      fmt::format("; serves https://mta-sts.{}/.well-known/mta-sts.txt: put your web server's name here",
                  domain.text()),
      fmt::format("mta-sts.{}. 3600 IN CNAME www.{}.", domain.text(), domain.text()),
      fmt::format("_smtp._tls.{}. 3600 IN TXT \"v=TLSRPTv1; rua=mailto:tls-reports@{}\"", domain.text(),
                  domain.text()),
  };
  return setup;
}

}  // namespace holdfast
