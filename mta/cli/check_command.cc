#include "mta/cli/check_command.h"

#include <fmt/format.h>

#include <fstream>
#include <sstream>

#include "mta/check_domain.h"
#include "mta/cli/progress.h"
#include "mta/standalone.h"
#include "sts/sts_lint.h"

namespace holdfast {
namespace {

constexpr std::size_t kLargestFile = 1024 * 1024;  // far more than any sender would read

// nullopt after the reason was told.
std::optional<DomainName> domain_of(const std::string& text) {
  auto domain = DomainName::parse(text);
  if (domain && !domain->empty()) return *domain;
  complain("\"" + printable(text) + "\" is no domain" +
           (domain ? std::string() : ": " + printable(domain.error().detail)));
  return std::nullopt;
}

std::unique_ptr<Standalone> tools_for(const SettingsPtr& settings) {
  auto tools = Standalone::build(settings);
  if (tools) return std::move(*tools);
  complain(printable(tools.error().text()));
  return nullptr;
}

void print_lines(const std::vector<std::string>& lines) {
  for (const std::string& line : lines) print(printable(line) + "\n");
}

int code_for(CheckVerdict verdict) {
  switch (verdict) {
    case CheckVerdict::delivered: return exit_code::yes;
    case CheckVerdict::unknown: return exit_code::try_again;
    case CheckVerdict::lowered:
    case CheckVerdict::held:
    case CheckVerdict::bounced: break;
  }
  return exit_code::no;
}

asio::awaitable<void> check_into(Standalone& tools, DomainName domain, CheckResult& result) {
  result = co_await check_domain(tools, std::move(domain));
}

std::vector<std::string> texts(const DnsAnswer& answer) {
  std::vector<std::string> out;
  for (const RecordData& data : answer.records)
    if (const auto* text = std::get_if<std::string>(&data)) out.push_back(*text);
  return out;
}

struct Looked {
  LintInput input;
  std::vector<LintFinding> failures;  // of the lookups themselves
};

LintFinding failed(const char* where, std::string text) {
  LintFinding finding;
  finding.where = where;
  finding.text = std::move(text);
  return finding;
}

std::vector<DomainName> names(const MxSet& set) {
  std::vector<DomainName> out;
  for (const MxHost& host : set.hosts) out.push_back(host.name);
  return out;
}

asio::awaitable<void> look(Standalone& tools, DomainName domain, Looked& out) {
  const DnsAnswer record = co_await tools.resolver().query("_mta-sts." + domain.text(), RecordType::txt);
  if (is_unknown(record.status) || record.status == DnsStatus::cname_limit) {
    out.failures.push_back(failed("record", std::string("the lookup failed: ") + describe(record.status)));
  } else {
    out.input.txt = texts(record);
  }
  const MxSet set = co_await lookup_mx(tools.resolver(), domain, {}, tools.random());
  if (set.verdict == MxVerdict::unknown) {
    out.failures.push_back(failed("mx", "the lookup failed: " + set.detail));
  } else {
    out.input.mx = names(set);
  }
  const auto policy = co_await tools.fetcher().fetch(domain);
  if (policy) {
    std::string text;
    for (const std::string& line : policy->lines) text += line + "\n";
    out.input.policy = std::move(text);
    co_return;
  }
  if (!policy.error().is(StsError::policy_invalid)) {
    out.failures.push_back(failed("policy", policy.error().text()));
    co_return;
  }
  // Once more, as it is: the findings name the lines.
  const SettingsPtr settings = tools.settings();
  auto url = HttpsUrl::parse("https://mta-sts." + domain.text() + "/.well-known/mta-sts.txt",
                             settings->sts.https_port);
  HttpLimits limits;
  limits.max_body = settings->sts.max_policy_size;
  limits.total = settings->sts.fetch_timeout;
  if (!url) {
    out.failures.push_back(failed("policy", url.error().text()));
    co_return;
  }
  const auto response = co_await tools.https().get(std::move(*url), limits);
  if (response) {
    out.input.policy = response->body;
  } else {
    out.failures.push_back(failed("policy", response.error().text()));
  }
}

asio::awaitable<void> look_mx_up(Standalone& tools, DomainName domain, MxSet& out) {
  out = co_await lookup_mx(tools.resolver(), std::move(domain), {}, tools.random());
}

int print_findings(const CommonOptions& common, const std::vector<LintFinding>& findings) {
  bool errors = false;
  for (const LintFinding& finding : findings) {
    errors = errors || finding.severity == LintFinding::Severity::error;
    if (common.json) {
      print(fmt::format("{{\"schema\":{},\"severity\":\"{}\",\"where\":{},\"text\":{}}}\n", kCliSchema,
                        name(finding.severity), json_string(finding.where), json_string(finding.text)));
    } else {
      print(printable(fmt::format("{}: {}: {}", name(finding.severity), finding.where, finding.text)) + "\n");
    }
  }
  if (findings.empty() && !common.json) print("nothing to mend\n");
  return errors ? exit_code::no : exit_code::yes;
}

}  // namespace

int check_domain_command(const CommonOptions& common, const std::string& text) {
  const auto domain = domain_of(text);
  if (!domain) return exit_code::usage;
  const SettingsPtr settings = need_settings(common, false);
  const auto tools = settings ? tools_for(settings) : nullptr;
  if (!tools) return exit_code::configuration;
  CheckResult result;
  {
    const Progress bar(Progress::shown(common), "asking DNS, the policy host and the mail hosts");
    tools->run(check_into(*tools, *domain, result));
  }
  if (common.json) {
    print(check_json(result) + "\n");
  } else {
    print_lines(check_text(result));
  }
  return code_for(result.verdict);
}

int sts_lint(const CommonOptions& common, const LintOptions& options) {
  const std::string& file_or_domain = options.subject;
  std::vector<DomainName> mx;
  for (const std::string& text : options.mx) {
    const auto host = domain_of(text);
    if (!host) return exit_code::usage;
    mx.push_back(*host);
  }
  Looked looked;
  std::error_code ignored;  // what cannot be looked at is no file; the domain's parser has the last word
  if (std::filesystem::is_regular_file(file_or_domain, ignored)) {
    std::ifstream file(file_or_domain, std::ios::binary);
    std::string text(kLargestFile, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    if (file.bad() || (file.fail() && !file.eof()))
      return complain(printable(file_or_domain) + " cannot be read"), exit_code::bad_data;
    text.resize(static_cast<std::size_t>(file.gcount()));
    looked.input.policy = std::move(text);
  } else {
    const auto domain = domain_of(file_or_domain);
    if (!domain) return exit_code::usage;
    const SettingsPtr settings = need_settings(common, false);
    const auto tools = settings ? tools_for(settings) : nullptr;
    if (!tools) return exit_code::configuration;
    const Progress bar(Progress::shown(common), "asking DNS and the policy host");
    tools->run(look(*tools, *domain, looked));
  }
  if (!options.records.empty()) looked.input.txt = options.records;
  if (!mx.empty()) looked.input.mx = std::move(mx);
  std::vector<LintFinding> findings = std::move(looked.failures);
  for (LintFinding& finding : lint_sts(looked.input)) findings.push_back(std::move(finding));
  return print_findings(common, findings);
}

int sts_generate(const CommonOptions& common, const GenerateOptions& options) {
  const auto domain = domain_of(options.domain);
  if (!domain) return exit_code::usage;
  std::optional<StsMode> mode;
  for (const StsMode known : {StsMode::none, StsMode::testing, StsMode::enforce})
    if (options.mode == name(known)) mode = known;
  if (!mode) return complain("--mode is none of testing, enforce, none"), exit_code::usage;
  std::vector<DomainName> mx;
  for (const std::string& text : options.mx) {
    const auto host = domain_of(text);
    if (!host) return exit_code::usage;
    mx.push_back(*host);
  }
  if (mx.empty() && *mode != StsMode::none) {
    const SettingsPtr settings = need_settings(common, false);
    const auto tools = settings ? tools_for(settings) : nullptr;
    if (!tools) return exit_code::configuration;
    MxSet set;
    tools->run(look_mx_up(*tools, *domain, set));
    if (set.verdict == MxVerdict::unknown)
      return complain("the MX of " + domain->text() + " cannot be looked up; name them by --mx"),
             exit_code::try_again;
    mx = names(set);
    if (mx.empty()) return complain(domain->text() + " has no MX; name them by --mx"), exit_code::no;
  }
  const auto clock = make_system_clock();
  const StsSetup setup =
      generate_sts(*domain, *mode, mx, std::chrono::seconds(options.max_age), clock->wall());
  if (common.json) {
    std::string zone;
    for (const std::string& line : setup.zone) zone += (zone.empty() ? "" : ",") + json_string(line);
    print(fmt::format("{{\"schema\":{},\"domain\":{},\"record\":{},\"policy\":{},\"zone\":[{}]}}\n",
                      kCliSchema, json_string(domain->text()), json_string(setup.record),
                      json_string(setup.policy), zone));
    return exit_code::yes;
  }
  print("; for the zone of " + domain->text() + "\n");
  for (const std::string& line : setup.zone) print(line + "\n");
  print("\n; https://mta-sts." + domain->text() + "/.well-known/mta-sts.txt\n" + setup.policy);
  return exit_code::yes;
}

}  // namespace holdfast
