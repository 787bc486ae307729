#include "mta/cli/dkim_commands.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "config/schema_values.h"
#include "mta/cli/progress.h"
#include "mta/cli/table.h"
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
  // It becomes a file name and a DNS label.
  const bool good = selector.empty() || (DomainName::parse(selector) &&
                                         selector.find('/') == std::string::npos && selector.front() != '.');
  if (!good) complain("\"" + printable(selector) + "\" is no selector: letters, digits, hyphens and dots");
  return good;
}

// Whoever owns the nearest directory that is there owns what is made below it: root prepares keys for the
// relay's user.
struct Owner {
  uid_t user = 0;
  gid_t group = 0;
  std::filesystem::path below;
};
Owner nearest_owner(std::filesystem::path path) {
  struct stat info {};
  while (::stat(path.c_str(), &info) != 0 && path.has_relative_path()) path = path.parent_path();
  return {info.st_uid, info.st_gid, path};
}
std::string give_away(const std::filesystem::path& file, const Owner& owner) {
  if (::geteuid() != 0 || owner.user == 0) return "";
  for (auto path = file; path != owner.below && path.has_relative_path(); path = path.parent_path())
    if (::lchown(path.c_str(), owner.user, owner.group) != 0)
      return path.string() + ": " + std::strerror(errno);
  return "";
}

int code_of(const Error& error) {
  if (error.is(DkimError::io)) return exit_code::permission;
  return error.is(DkimError::bad_key) ? exit_code::bad_data : exit_code::try_again;
}

void print_key(const CommonOptions& common, const OwnKey& key, bool made) {
  const std::string line = dkim_zone_line(key.domain, key.selector, key.record);
  if (!common.json) return print(line + "\n");
  print(fmt::format(
      "{{\"schema\":{},\"domain\":{},\"selector\":{},\"in_use\":{},\"made\":{},\"record\":{},\"zone\":{}}}\n",
      kCliSchema, json_string(key.domain), json_string(key.selector), key.in_use, made,
      json_string(key.record), json_string(line)));
}

int print_findings(const CommonOptions& common, const Findings& findings) {
  using Severity = OwnDnsFinding::Severity;
  Table table({"", "RECORD", "FOUND"});
  bool errors = false, unknown = false;
  for (const OwnDnsFinding& finding : findings) {
    errors = errors || finding.severity == Severity::error;
    unknown = unknown || finding.severity == Severity::unknown;
    if (common.json) {
      print(fmt::format("{{\"schema\":{},\"severity\":\"{}\",\"record\":{},\"text\":{},\"remedy\":{}}}\n",
                        kCliSchema, name(finding.severity), json_string(finding.record),
                        json_string(finding.text), json_string(finding.remedy)));
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

std::string domain_of(const std::string& address) {
  const auto at = address.rfind('@');
  return at == std::string::npos ? "" : address.substr(at + 1);
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
    const auto path = dkim_key_path(settings->dkim.key_dir, domain, settings->dkim.selector);
    const Owner owner = nearest_owner(path);
    auto key = DkimKey::load(path);
    bool made = !key && key.error().is(DkimError::no_key);
    if (made) {
      key = DkimKey::generate(algorithm);
      if (!key) return complain(printable(key.error().text())), code_of(key.error());
      const auto saved = key->save(path);
      // The relay makes the key for its reports by itself; it may just have done so.
      made = !(!saved && saved.error().is(DkimError::exists));
      if (!saved && made) return complain(printable(saved.error().text())), code_of(saved.error());
      if (!made) key = DkimKey::load(path);
    }
    if (made) {
      if (const std::string wrong = give_away(path, owner); !wrong.empty())
        return complain(printable(wrong)), exit_code::permission;
    }
    if (!key) return complain(printable(key.error().text())), code_of(key.error());
    const auto record = key->record();
    if (!record) return complain(printable(record.error().text())), exit_code::try_again;
    all_there = all_there && !made;
    complain((made ? "made " : "kept, as it is there already: ") + path.string());
    OwnKey own;
    own.domain = domain;
    own.selector = settings->dkim.selector;
    own.record = *record;
    own.in_use = configured && configured->dkim.selector == own.selector;
    print_key(common, own, made);
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
  OwnDnsRequest request;
  request.hostname = settings->hostname;
  request.names = {settings->hostname};
  request.addresses = options.addresses;
  for (const SourceSettings& source : settings->sources) {
    if (options.addresses.empty()) request.addresses.push_back(source.address);
    if (!source.hostname.empty()) request.names.push_back(source.hostname);
  }
  request.report_address = settings->tlsrpt.contact;
  request.domains = options.domains;
  const std::string contact = domain_of(settings->tlsrpt.contact);
  if (request.domains.empty()) {
    for (const auto& file : find_dkim_keys(settings->dkim.key_dir)) request.domains.push_back(file.domain);
    if (settings->tlsrpt.enabled && contact != settings->hostname) request.domains.push_back(contact);
    std::sort(request.domains.begin(), request.domains.end());
    request.domains.erase(std::unique(request.domains.begin(), request.domains.end()), request.domains.end());
  }
  if (!request.domains.empty()) {
    for (OwnKey& key : own_keys(settings->dkim, request.domains, false)) {
      // Where nothing signs, no key is missed: but reports are always signed, for the contact's domain.
      const bool signs =
          settings->dkim.sign != DkimSigning::off || (settings->tlsrpt.enabled && key.domain == contact);
      if (signs || !key.record.empty()) request.keys.push_back(std::move(key));
    }
  }
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
