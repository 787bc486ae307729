#include "mta/cli/dkim_commands.h"

#include "config/schema_values.h"
#include "mta/cli/progress.h"
#include "mta/cli/table.h"
#include "mta/dkim_keys.h"
#include "mta/own_dns.h"
#include "mta/standalone.h"
#include "queue/dkim_key.h"
#include "smtp/base/domain_name.h"

namespace holdfast {
namespace {

using Findings = std::vector<OwnDnsFinding>;

// As A-labels; false after the one that is none was told.
bool read_domains(std::vector<std::string>& domains) {
  for (std::string& domain : domains) {
    const auto name = DomainName::parse(domain);
    if (!name || name->empty()) return complain("\"" + printable(domain) + "\" is no domain"), false;
    domain = name->text();
  }
  return true;
}

// The settings with the selector that was asked for; null after the reason was told.
std::shared_ptr<Settings> settings_for(const CommonOptions& common, const std::string& selector) {
  const SettingsPtr settings = need_settings(common, false);
  if (!settings) return nullptr;
  auto own = std::make_shared<Settings>(*settings);
  if (!selector.empty()) own->dkim.selector = selector;
  return own;
}

bool good_selector(const std::string& selector) {
  const bool good = selector.empty() || is_selector(selector);
  if (!good) complain("\"" + printable(selector) + "\" is no selector: letters, digits, hyphens and dots");
  return good;
}

int code_of(const Error& error) {
  if (error.is(DkimError::io)) return exit_code::permission;
  return error.is(DkimError::bad_key) ? exit_code::bad_data : exit_code::try_again;
}

void print_key(const CommonOptions& common, const OwnKey& key, bool made) {
  print((common.json ? key_json(key, made) : dkim_zone_line(key.domain, key.selector, key.record)) + "\n");
}

int print_findings(const CommonOptions& common, const Findings& findings) {
  using Severity = OwnDnsFinding::Severity;
  Table table({"", "RECORD", "FOUND"});
  bool errors = false, unknown = false;
  for (const OwnDnsFinding& finding : findings) {
    errors = errors || finding.severity == Severity::error;
    unknown = unknown || finding.severity == Severity::unknown;
    if (common.json) {
      print(finding_json(finding) + "\n");
    } else {
      table.add({name(finding.severity), finding.record, finding.text});
    }
  }
  if (!common.json) {
    print(table.text(stdout_is_terminal()));
    bool first = true;
    for (const OwnDnsFinding& finding : findings) {
      if (finding.remedy.empty() || finding.severity == Severity::good) continue;
      if (first) complain("to change:");
      first = false;
      complain("  " + printable(finding.record) + ": " + printable(finding.remedy));
    }
  }
  if (errors) return exit_code::no;
  return unknown ? exit_code::try_again : exit_code::yes;
}

asio::awaitable<void> look_keys_up(Standalone& tools, std::vector<OwnKey> keys, Findings& out) {
  for (OwnKey& key : keys) {
    Findings found = co_await check_key(tools.resolver(), std::move(key));
    std::move(found.begin(), found.end(), std::back_inserter(out));
  }
}

asio::awaitable<void> look_all_up(Standalone& tools, OwnDnsRequest request, Findings& out) {
  out = co_await check_own_dns(tools.resolver(), tools.fetcher(), tools.random(), std::move(request));
}

}  // namespace

int dkim_keygen(const CommonOptions& common, const DkimOptions& given) {
  DkimOptions options = given;
  if (options.algorithm != "rsa" && options.algorithm != "ed25519")
    return complain("--algorithm is none of rsa, ed25519"), exit_code::usage;
  if (!read_domains(options.domains) || !good_selector(options.selector)) return exit_code::usage;
  const auto settings = settings_for(common, options.selector);
  if (!settings) return exit_code::configuration;
  const SettingsPtr configured = need_settings(common, false);
  if (options.domains.empty()) {
    for (const auto& file : find_dkim_keys(settings->dkim.key_dir))
      if (options.domains.empty() || options.domains.back() != file.domain)
        options.domains.push_back(file.domain);
    if (options.domains.empty())
      return complain("say for which domain; there is no key yet"), exit_code::usage;
  }
  const auto algorithm =
      options.algorithm == "rsa" ? DkimAlgorithm::rsa_sha256 : DkimAlgorithm::ed25519_sha256;
  bool all_there = true;
  for (const std::string& domain : options.domains) {
    auto made = make_dkim_key(settings->dkim, domain, algorithm);
    if (!made) return complain(printable(made.error().text())), code_of(made.error());
    all_there = all_there && !made->made;
    complain((made->made ? "made " : "kept, as it is there already: ") + made->file.string());
    made->key.in_use = configured && configured->dkim.selector == made->key.selector;
    print_key(common, made->key, made->made);
  }
  const bool in_use = configured && configured->dkim.selector == settings->dkim.selector;
  complain("publish the records, then ask: holdfast dkim check" +
           (in_use ? std::string() : " --selector " + settings->dkim.selector));
  if (!in_use)
    complain("once all are found, set dkim.selector = \"" + settings->dkim.selector + "\" and reload");
  if (configured && configured->dkim.sign == DkimSigning::off)
    complain("dkim.sign is \"off\": only TLS reports are signed; \"sender-domain\" signs all mail");
  return all_there ? exit_code::no : exit_code::yes;
}

int dkim_txt(const CommonOptions& common, const DkimOptions& given) {
  DkimOptions options = given;
  if (!read_domains(options.domains) || !good_selector(options.selector)) return exit_code::usage;
  const auto settings = settings_for(common, options.selector);
  if (!settings) return exit_code::configuration;
  const SettingsPtr configured = need_settings(common, false);
  auto keys = own_keys(settings->dkim, options.domains, options.selector.empty());
  if (keys.empty()) return complain("there is no key; see holdfast dkim keygen"), exit_code::no;
  bool missing = false;
  for (OwnKey& key : keys) {
    key.in_use = configured && configured->dkim.selector == key.selector;
    if (key.record.empty()) {
      complain(printable(key.domain) + ", selector " + printable(key.selector) + ": " +
               printable(key.trouble));
      missing = true;
    } else {
      print_key(common, key, false);
    }
  }
  return missing ? exit_code::no : exit_code::yes;
}

int dkim_check(const CommonOptions& common, const DkimOptions& given) {
  DkimOptions options = given;
  if (!read_domains(options.domains) || !good_selector(options.selector)) return exit_code::usage;
  const auto settings = settings_for(common, options.selector);
  if (!settings) return exit_code::configuration;
  auto keys = own_keys(settings->dkim, options.domains, options.selector.empty());
  if (keys.empty()) return complain("there is no key; see holdfast dkim keygen"), exit_code::no;
  auto tools = Standalone::build(settings);
  if (!tools) return complain(printable(tools.error().text())), exit_code::configuration;
  Findings findings;
  {
    const Progress bar(Progress::shown(common), "asking DNS");
    (*tools)->run(look_keys_up(**tools, std::move(keys), findings));
  }
  return print_findings(common, findings);
}

int dns_check(const CommonOptions& common, const DnsOptions& given) {
  DnsOptions options = given;
  if (!read_domains(options.domains)) return exit_code::usage;
  for (const std::string& address : options.addresses)
    if (const std::string wrong = check_ip(address); !wrong.empty())
      return complain(printable(wrong)), exit_code::usage;
  const SettingsPtr settings = need_settings(common, false);
  if (!settings) return exit_code::configuration;
  OwnDnsRequest request = own_dns_request(*settings, options.domains, options.addresses);
  auto tools = Standalone::build(settings);
  if (!tools) return complain(printable(tools.error().text())), exit_code::configuration;
  Findings findings;
  {
    const Progress bar(Progress::shown(common), "asking DNS");
    (*tools)->run(look_all_up(**tools, std::move(request), findings));
  }
  return print_findings(common, findings);
}

}  // namespace holdfast
