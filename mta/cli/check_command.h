// mta/cli/check_command.h — commands that ask the network and not the relay: `check`, `sts lint`, `sts
// generate`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mta/cli/common.h"

namespace holdfast {

// 0: a message would be delivered as the domain asks; 1: not so; 75: DNS cannot tell.
int check_domain_command(const CommonOptions& common, const std::string& domain);

struct LintOptions {
  std::string subject;  // a policy file, or a domain
  std::vector<std::string>
      records;                  // TXT records as they will be published; with a domain: instead of its own
  std::vector<std::string> mx;  // likewise its MX hosts
};
// A file is judged with what is given beside it, a domain with its record, its policy as served and its MX
// hosts. 1: errors were found.
int sts_lint(const CommonOptions& common, const LintOptions& options);

struct GenerateOptions {
  std::string domain;
  std::string mode = "testing";
  std::vector<std::string> mx;    // empty: the domain's MX hosts of now
  std::int64_t max_age = 604800;  // seconds
};
int sts_generate(const CommonOptions& common, const GenerateOptions& options);

}  // namespace holdfast
