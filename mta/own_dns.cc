#include "mta/own_dns.h"

#include <algorithm>
#include <set>

#include "mta/cli/dns_records.h"
#include "mta/spf_check.h"
#include "queue/dkim_record.h"
#include "smtp/base/stream.h"
#include "smtp/dns/mx_lookup.h"
#include "sts/sts_lint.h"
#include "tlsrpt/record.h"

namespace holdfast {
namespace {

using Severity = OwnDnsFinding::Severity;
using Findings = std::vector<OwnDnsFinding>;

OwnDnsFinding finding(Severity severity, std::string record, std::string text, std::string remedy = "") {
  OwnDnsFinding out;
  out.severity = severity;
  out.record = std::move(record);
  out.text = std::move(text);
  out.remedy = std::move(remedy);
  return out;
}

// nullopt when DNS did answer, be it that there is nothing.
std::optional<OwnDnsFinding> silence(const DnsAnswer& answer, const std::string& record) {
  const bool silent = is_unknown(answer.status) || answer.status == DnsStatus::cname_limit;
  if (!silent) return std::nullopt;
  return finding(Severity::unknown, record, std::string("the lookup failed: ") + describe(answer.status),
                 "look at the name servers of the zone, then ask again");
}

std::vector<std::string> texts(const DnsAnswer& answer) {
  std::vector<std::string> out;
  for (const RecordData& data : answer.records)
    if (const auto* text = std::get_if<std::string>(&data)) out.push_back(*text);
  return out;
}

std::vector<IpBytes> addresses(const DnsAnswer& answer) {
  std::vector<IpBytes> out;
  for (const RecordData& data : answer.records)
    if (const auto* ip = std::get_if<IpBytes>(&data)) out.push_back(*ip);
  return out;
}

std::string without_dot(std::string name) {
  if (name.ends_with('.')) name.pop_back();
  return name;
}

std::string joined(const std::vector<std::string>& items) {
  std::string out;
  for (const auto& item : items) out += (out.empty() ? "" : ", ") + item;
  return out;
}

bool is_v6(const IpBytes& ip) { return ip_text(ip).find(':') != std::string::npos; }

std::string zone_line(const std::string& name, const std::string& type, const std::string& data) {
  return name + ". IN " + type + " " + data;
}

// The addresses to judge: those told, or those that the hostname has.
asio::awaitable<std::vector<IpBytes>> judged(Resolver& resolver, OwnDnsRequest request) {
  std::vector<IpBytes> out;
  for (const auto& text : request.addresses)
    if (const auto ip = parse_ip(text)) out.push_back(*ip);
  if (!out.empty()) co_return out;
  for (const RecordType type : {RecordType::a, RecordType::aaaa}) {
    const DnsAnswer answer = co_await resolver.query(request.hostname, type);
    for (const auto& ip : addresses(answer)) out.push_back(ip);
  }
  co_return out;
}

asio::awaitable<Findings> check_reverse(Resolver& resolver, IpBytes ip, std::vector<std::string> names) {
  Findings out;
  const std::string text = ip_text(ip);
  const std::string reverse = without_dot(reverse_name(text));
  const std::string record = reverse + " PTR";
  const DnsAnswer answer = co_await resolver.query(reverse, RecordType::ptr);
  if (auto silent = silence(answer, record)) {
    out.push_back(std::move(*silent));
    co_return out;
  }
  const auto found = texts(answer);
  const std::string remedy =
      "ask whoever owns the address " + text + " for: " + zone_line(reverse, "PTR", names.front() + ".");
  if (found.empty()) {
    out.push_back(
        finding(Severity::error, record, text + " has no PTR: many receivers refuse such mail", remedy));
    co_return out;
  }
  const bool ours = std::any_of(found.begin(), found.end(), [&](const std::string& name) {
    return std::find(names.begin(), names.end(), without_dot(name)) != names.end();
  });
  if (!ours) {
    out.push_back(finding(Severity::error, record,
                          text + " is called " + joined(found) + ", but the relay says " + joined(names),
                          remedy));
    co_return out;
  }
  out.push_back(finding(Severity::good, record, joined(found)));
  co_return out;
}

asio::awaitable<Findings> check_spf_of(Resolver& resolver, std::string domain, std::string hostname,
                                       std::vector<IpBytes> from, bool is_host) {
  Findings out;
  const std::string record = domain + " TXT (SPF)";
  const std::string fresh = "\"v=spf1 " + (is_host ? std::string("a") : "a:" + hostname) + " -all\"";
  for (const IpBytes& ip : from) {
    const SpfFinding spf = co_await check_spf(resolver, domain, ip);
    const std::string text = ip_text(ip) + ": " + name(spf.result) + " by " + spf.detail;
    const std::string add = (is_v6(ip) ? "add ip6:" : "add ip4:") + ip_text(ip) +
                            (is_host ? "" : " or a:" + hostname) + " before the last term of the SPF record";
    switch (spf.result) {
      case SpfFinding::Result::pass: out.push_back(finding(Severity::good, record, text)); break;
      case SpfFinding::Result::none:
        out.push_back(finding(is_host ? Severity::warning : Severity::error, record,
                              is_host ? "no SPF record; bounces are judged by this name" : "no SPF record",
                              zone_line(domain, "TXT", fresh)));
        co_return out;
      case SpfFinding::Result::fail:
      case SpfFinding::Result::softfail:
      case SpfFinding::Result::neutral: out.push_back(finding(Severity::error, record, text, add)); break;
      case SpfFinding::Result::permerror:
        out.push_back(
            finding(Severity::error, record, spf.detail, "mend the record; receivers ignore it now"));
        co_return out;
      case SpfFinding::Result::temperror:
        out.push_back(finding(Severity::unknown, record, spf.detail, "ask again later"));
        co_return out;
      case SpfFinding::Result::unknown:
        out.push_back(
            finding(Severity::hint, record, spf.detail, "check by hand that it covers " + ip_text(ip)));
        break;
    }
  }
  co_return out;
}

asio::awaitable<Findings> check_reports(Resolver& resolver, std::string domain, std::string address) {
  Findings out;
  const std::string owner = "_smtp._tls." + domain, record = owner + " TXT (TLS-RPT)";
  const std::string line = zone_line(owner, "TXT", "\"v=TLSRPTv1; rua=mailto:" + address + "\"");
  const DnsAnswer answer = co_await resolver.query(owner, RecordType::txt);
  if (auto silent = silence(answer, record)) {
    out.push_back(std::move(*silent));
    co_return out;
  }
  const auto found = find_tlsrpt_record(texts(answer));
  if (!found) {
    out.push_back(finding(Severity::error, record, found.error().detail, line));
  } else if (!*found) {
    out.push_back(finding(Severity::hint, record, "none: nobody reports how TLS to this domain goes", line));
  } else if ((*found)->targets.empty()) {
    out.push_back(finding(Severity::error, record, "it names no target that reports can go to", line));
  } else {
    std::vector<std::string> targets;
    for (const auto& target : (*found)->targets) targets.push_back(target.uri());
    out.push_back(finding(Severity::good, record, joined(targets)));
  }
  co_return out;
}

asio::awaitable<Findings> check_sts(Resolver& resolver, PolicyFetcher& fetcher, Random& random,
                                    DomainName domain) {
  Findings out;
  const std::string owner = "_mta-sts." + domain.text(), record = owner + " TXT (MTA-STS)";
  const DnsAnswer answer = co_await resolver.query(owner, RecordType::txt);
  if (auto silent = silence(answer, record)) {
    out.push_back(std::move(*silent));
    co_return out;
  }
  LintInput input;
  input.txt = texts(answer);
  if (input.txt->empty()) {
    out.push_back(finding(Severity::hint, record, "none: senders may be led astray on the way to this domain",
                          "holdfast sts generate " + domain.text()));
    co_return out;
  }
  const auto policy = co_await fetcher.fetch(domain);
  if (policy) {
    std::string text;
    for (const std::string& line : policy->lines) text += line + "\n";
    input.policy = std::move(text);
  } else {
    out.push_back(finding(Severity::error, record, "the policy cannot be had: " + policy.error().text(),
                          "holdfast sts lint " + domain.text()));
  }
  const MxSet set = co_await lookup_mx(resolver, domain, {}, random);
  if (set.verdict != MxVerdict::unknown) {
    input.mx.emplace();
    for (const MxHost& host : set.hosts) input.mx->push_back(host.name);
  }
  for (const LintFinding& lint : lint_sts(input)) {
    const Severity severity = lint.severity == LintFinding::Severity::error     ? Severity::error
                              : lint.severity == LintFinding::Severity::warning ? Severity::warning
                                                                                : Severity::hint;
    out.push_back(
        finding(severity, record, lint.where + ": " + lint.text, "holdfast sts lint " + domain.text()));
  }
  if (out.empty()) out.push_back(finding(Severity::good, record, input.txt->front()));
  co_return out;
}

// A configuration may write a name in any case, and as U-labels.
std::string as_in_dns(const std::string& name) {
  const auto parsed = DomainName::parse(name);
  return parsed ? parsed->text() : name;
}

void append(Findings& to, Findings from) { std::move(from.begin(), from.end(), std::back_inserter(to)); }

}  // namespace

const char* name(Severity severity) {
  switch (severity) {
    case Severity::good: return "good";
    case Severity::hint: return "hint";
    case Severity::warning: return "warning";
    case Severity::error: return "error";
    case Severity::unknown: return "unknown";
  }
  return "unknown";
}

asio::awaitable<Findings> check_host(Resolver& resolver, OwnDnsRequest request) {
  Findings out;
  std::vector<IpBytes> published;
  const std::string record = request.hostname + " A, AAAA";
  for (const RecordType type : {RecordType::a, RecordType::aaaa}) {
    const DnsAnswer answer = co_await resolver.query(request.hostname, type);
    if (auto silent = silence(answer, record)) {
      out.push_back(std::move(*silent));
      co_return out;
    }
    for (const auto& ip : addresses(answer)) published.push_back(ip);
  }
  const std::vector<IpBytes> wanted = co_await judged(resolver, request);
  if (published.empty()) {
    std::string remedy = "publish the relay's public addresses under this name, or mend `hostname`";
    if (!wanted.empty())
      remedy = zone_line(request.hostname, is_v6(wanted.front()) ? "AAAA" : "A", ip_text(wanted.front()));
    out.push_back(finding(Severity::error, record, "the relay's name has no address", remedy));
  }
  for (const IpBytes& ip : wanted) {
    const bool there = std::find(published.begin(), published.end(), ip) != published.end();
    // A source with a name of its own need not stand under the relay's.
    if (!there && !published.empty() && request.names.size() < 2) {
      out.push_back(finding(Severity::error, record, ip_text(ip) + " is not among its addresses",
                            zone_line(request.hostname, is_v6(ip) ? "AAAA" : "A", ip_text(ip))));
    } else if (there) {
      out.push_back(finding(Severity::good, record, ip_text(ip)));
    }
    append(out, co_await check_reverse(resolver, ip, request.names));
  }
  append(out, co_await check_spf_of(resolver, request.hostname, request.hostname, wanted, true));
  co_return out;
}

asio::awaitable<Findings> check_key(Resolver& resolver, OwnKey key) {
  Findings out;
  const std::string owner = key.selector + "._domainkey." + key.domain, record = owner + " TXT (DKIM)";
  if (key.record.empty()) {
    out.push_back(finding(Severity::error, record, key.trouble,
                          "holdfast dkim keygen " + key.domain + " --selector " + key.selector));
    co_return out;
  }
  const std::string publish = dkim_zone_line(key.domain, key.selector, key.record);
  const DnsAnswer answer = co_await resolver.query(owner, RecordType::txt);
  if (auto silent = silence(answer, record)) {
    out.push_back(std::move(*silent));
    co_return out;
  }
  const DkimRecordFinding compared = compare_dkim_record(texts(answer), key.record);
  if (compared.state == DkimRecordFinding::State::good) {
    out.push_back(finding(compared.testing ? Severity::warning : Severity::good, record,
                          compared.testing ? compared.detail : "the key that signs",
                          compared.testing ? publish : ""));
  } else {
    // A key that waits for its turn harms nobody yet.
    out.push_back(finding(key.in_use ? Severity::error : Severity::warning, record,
                          std::string(name(compared.state)) + ": " + compared.detail, publish));
  }
  co_return out;
}

asio::awaitable<Findings> check_own_domain(Resolver& resolver, PolicyFetcher& fetcher, Random& random,
                                           OwnDnsRequest request, std::string domain) {
  Findings out;
  const std::vector<IpBytes> from = co_await judged(resolver, request);
  append(out, co_await check_spf_of(resolver, domain, request.hostname, from, false));
  for (const OwnKey& key : request.keys)
    if (key.domain == domain) append(out, co_await check_key(resolver, key));
  append(out, co_await check_reports(resolver, domain, request.report_address));
  const auto parsed = DomainName::parse(domain);
  if (parsed) append(out, co_await check_sts(resolver, fetcher, random, *parsed));
  co_return out;
}

asio::awaitable<Findings> check_own_dns(Resolver& resolver, PolicyFetcher& fetcher, Random& random,
                                        OwnDnsRequest request) {
  Findings out = co_await check_host(resolver, request);
  for (const std::string& domain : request.domains)
    append(out, co_await check_own_domain(resolver, fetcher, random, request, domain));
  co_return out;
}

std::vector<OwnKey> own_keys(const DkimSettings& settings, const std::vector<std::string>& domains,
                             bool all) {
  std::vector<OwnKey> out;
  const auto files = find_dkim_keys(settings.key_dir);
  std::set<std::string> wanted(domains.begin(), domains.end());
  if (domains.empty())
    for (const auto& file : files) wanted.insert(file.domain);
  for (const std::string& domain : wanted) {
    std::set<std::string> selectors{settings.selector};
    for (const auto& file : files)
      if (all && file.domain == domain) selectors.insert(file.selector);
    for (const std::string& selector : selectors) {
      OwnKey key;
      key.domain = domain;
      key.selector = selector;
      key.in_use = selector == settings.selector;
      const auto loaded = DkimKey::load(dkim_key_path(settings.key_dir, domain, selector));
      const auto record = loaded ? loaded->record() : Result<std::string>(loaded.error());
      if (record) {
        key.record = *record;
      } else {
        key.trouble = record.error().is(DkimError::no_key)
                          ? "there is no key: mail of " + domain + " leaves unsigned"
                          : record.error().text();
      }
      out.push_back(std::move(key));
    }
  }
  return out;
}

OwnDnsRequest own_dns_request(const Settings& settings, std::vector<std::string> domains,
                              std::vector<std::string> addresses) {
  OwnDnsRequest request;
  request.hostname = as_in_dns(settings.hostname);
  request.names = {request.hostname};
  const bool from_sources = addresses.empty();
  request.addresses = std::move(addresses);
  for (const SourceSettings& source : settings.sources) {
    if (from_sources) request.addresses.push_back(source.address);
    if (!source.hostname.empty()) request.names.push_back(as_in_dns(source.hostname));
  }
  request.report_address = settings.tlsrpt.contact;
  const auto at = settings.tlsrpt.contact.rfind('@');
  const std::string contact =
      at == std::string::npos ? "" : as_in_dns(settings.tlsrpt.contact.substr(at + 1));
  if (domains.empty()) {
    std::set<std::string> found;
    for (const auto& file : find_dkim_keys(settings.dkim.key_dir)) found.insert(file.domain);
    if (settings.tlsrpt.enabled && contact != request.hostname) found.insert(contact);
    domains.assign(found.begin(), found.end());
  }
  request.domains = std::move(domains);
  if (request.domains.empty()) return request;
  for (OwnKey& key : own_keys(settings.dkim, request.domains, false)) {
    // Where nothing signs, no key is missed: but reports are always signed, for the contact's domain.
    const bool signs =
        settings.dkim.sign != DkimSigning::off || (settings.tlsrpt.enabled && key.domain == contact);
    if (signs || !key.record.empty()) request.keys.push_back(std::move(key));
  }
  return request;
}

}  // namespace holdfast
