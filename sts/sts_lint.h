// sts/sts_lint.h — mistakes in one's own MTA-STS set-up before it is published, and a set-up to publish.
// Pure: the caller looks up or reads what is to be judged.
//
// Sterner than what the relay itself accepts of others: it tells what other senders may stumble over.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "smtp/base/clock.h"
#include "smtp/base/domain_name.h"
#include "sts/policy.h"

namespace holdfast {

struct LintFinding {
  enum class Severity {
    error,    // senders will find no policy, or will not deliver
    warning,  // it works, but less well than meant
    hint,
  } severity = Severity::error;
  std::string where;  // "record", "policy line 3", "mx"
  std::string text;
  bool operator==(const LintFinding&) const = default;
};
const char* name(LintFinding::Severity severity);

// What is nullopt is not judged.
struct LintInput {
  std::optional<std::vector<std::string>> txt;  // all TXT records at _mta-sts.<domain>
  std::optional<std::string> policy;            // the file as served
  std::optional<std::vector<DomainName>> mx;    // the domain's MX hosts
};

// In the order record, policy, MX list; empty when nothing is to be said.
std::vector<LintFinding> lint_sts(const LintInput& input);

struct StsSetup {
  std::string record;             // value of the TXT record
  std::string policy;             // content of /.well-known/mta-sts.txt, with CRLF
  std::vector<std::string> zone;  // lines of the domain's zone
};
// `now` gives the id. In mode none `mx` may be empty.
StsSetup generate_sts(const DomainName& domain, StsMode mode, const std::vector<DomainName>& mx,
                      std::chrono::seconds max_age, WallTime now);

}  // namespace holdfast
