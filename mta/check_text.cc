#include <fmt/format.h>

#include "mta/admin_json.h"
#include "mta/check_domain.h"
#include "sts/dane.h"

namespace holdfast {
namespace {

using Lines = std::vector<std::string>;

constexpr std::size_t kLongestRecord = 2048;  // of a TXT record as shown; DNS has up to 64 KiB

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::string summary(const CheckResult& result) {
  switch (result.verdict) {
    case CheckVerdict::delivered: return "a message would be delivered as the domain asks";
    case CheckVerdict::lowered:
      return "a message would be delivered, with less protection than the domain asks";
    case CheckVerdict::held: return "a message would be held";
    case CheckVerdict::bounced: return "a message would bounce";
    case CheckVerdict::unknown: return "DNS cannot tell; a message would wait";
  }
  return "";
}

void dns_lines(const CheckResult& result, Lines& out) {
  out.push_back(
      fmt::format("DNS{}", result.validating ? "" : " (the resolver was not seen to validate DNSSEC)"));
  for (const SeenAnswer& seen : result.records) {
    if (seen.name.empty() || seen.name == ".") continue;  // the probe of the resolver itself
    const DnsAnswer& answer = seen.answer;
    const std::string about = fmt::format("  {} {}  {}, ttl {}", seen.name, name(seen.type),
                                          answer.secure ? "secure" : "not secure", answer.ttl.count());
    if (answer.status != DnsStatus::ok) {
      out.push_back(about + ": " + describe(answer.status));
      continue;
    }
    if (answer.name != seen.name) out.push_back(about + ": alias of " + answer.name);
    for (const RecordData& record : answer.records) out.push_back(about + ": " + record_data_text(record));
  }
}

void policy_lines(const CheckResult& all, const CheckedHop& result, Lines& out) {
  out.emplace_back("MTA-STS");
  if (result.sts.state == StsLookup::State::present && result.sts.cached) {
    const CachedPolicy& policy = *result.sts.cached;
    out.push_back(fmt::format("  mode {}, id {}, mx {}, max_age {} s", name(policy.policy.mode), policy.id,
                              joined(policy.policy.mx), policy.policy.max_age.count()));
    out.push_back(result.policy_source == "cache"
                      ? fmt::format("  from the relay's cache, fetched {}, in force until {}",
                                    rfc3339(policy.fetched), rfc3339(policy.expires))
                      : fmt::format("  fetched now from https://mta-sts.{}/.well-known/mta-sts.txt",
                                    result.hop.name.text()));
    if (!result.policy_failure.empty()) out.push_back("  it cannot be fetched now: " + result.policy_failure);
  } else if (result.sts.state == StsLookup::State::unknown) {
    out.push_back("  unknown: " + result.sts.detail);
  } else if (result.sts.fetch_failure) {
    out.push_back(fmt::format("  announced, but not to be had: {}; as without a policy", result.sts.detail));
  } else {
    out.push_back(result.sts.detail.empty() ? "  no policy" : "  no policy: " + result.sts.detail);
  }
  if (!all.cache_unread.empty()) out.push_back("  the relay's cache was not read: " + all.cache_unread);
}

std::string demand(const MxPlan& plan) {
  const TlsRequirement& need = plan.requirement;
  std::string text;
  const auto add = [&](const std::string& part) { text += (text.empty() ? "" : ", and ") + part; };
  if (need.pkix) add("a certificate of a trusted authority for " + need.pkix->name.text());
  if (need.dane) {
    std::vector<std::string> records;
    for (const TlsaRecord& record : need.dane->records) records.push_back(tlsa_text(record));
    add("a match of TLSA at " + need.dane->base_domain.text() + " (" + joined(records) + ")");
  }
  if (text.empty())
    text = need.cleartext_allowed ? "nothing; TLS is used if it is offered" : "TLS, with any certificate";
  if (need.min_version > TlsVersion::tls12) text += std::string(", ") + name(need.min_version);
  if (!need.ciphers.empty()) text += ", with TLS 1.2 by " + need.ciphers;
  return text;
}

void certificate_lines(const TlsEvidence& evidence, Lines& out) {
  for (std::size_t i = 0; i < evidence.chain.size(); ++i) {
    const CertificateInfo& info = evidence.chain[i];
    out.push_back(fmt::format("      certificate {}: {}; issuer {}; {} to {}; {}", i,
                              info.names.empty() ? info.subject : joined(info.names), info.issuer,
                              rfc3339(info.not_before).substr(0, 10), rfc3339(info.not_after).substr(0, 10),
                              info.key));
  }
}

std::string failure_text(const TlsFailure& failure) {
  return std::string(describe(failure.error)) + (failure.detail.empty() ? "" : ": " + failure.detail);
}

void address_lines(const CheckedAddress& address, Lines& out) {
  const OpenResult& opened = address.opened;
  const TlsEvidence& evidence = opened.evidence;
  const std::string ip = "    " + ip_text(address.ip) + ": ";
  if (opened.broken) out.push_back(ip + "at " + name(opened.stage) + ": " + opened.broken->text());
  if (opened.refused)
    out.push_back(ip + "refused at " + name(opened.stage) + ": " + opened.refused->summary());
  if (opened.tls_failure) out.push_back(ip + failure_text(opened.tls_failure));
  if (evidence.version != TlsVersion::none && !opened.tls_failure) {
    out.push_back(fmt::format("{}{} {}{}", ip, name(evidence.version), evidence.cipher,
                              evidence.requiretls_offered ? ", offers REQUIRETLS" : ""));
  }
  if (evidence.pkix) out.push_back("      its certificate is verified for " + evidence.pkix->name.text());
  if (evidence.pkix_failure && evidence.pkix_failure.error != opened.tls_failure.error)
    out.push_back("      its certificate would not do: " + failure_text(evidence.pkix_failure));
  if (evidence.dane) out.push_back("      TLSA matches: " + evidence.dane_match);
  if (evidence.dane_failure && evidence.dane_failure.error != opened.tls_failure.error)
    out.push_back("      TLSA: " + failure_text(evidence.dane_failure));
  certificate_lines(evidence, out);
  if (address.reached && (address.fell_back || evidence.version == TlsVersion::none))
    out.push_back("      a message would go in clear");
  if (!address.clear_problem.empty()) out.push_back("      in clear: " + address.clear_problem);
}

void mx_lines(const CheckedMx& mx, Lines& out) {
  out.push_back(fmt::format("MX {} {}: {}{}", mx.plan.mx.preference, mx.plan.mx.name.text(), name(mx.verdict),
                            mx.reason.empty() ? "" : " (" + mx.reason + ")"));
  if (!mx.pattern.empty()) out.push_back("    matches " + mx.pattern + " of the MTA-STS policy");
  if (mx.plan.finding != PlanFinding::none)
    out.push_back(fmt::format("    {}{}", describe(mx.plan.finding),
                              mx.plan.detail.empty() ? "" : ": " + mx.plan.detail));
  if (mx.plan.usable) {
    out.push_back("    must show " + demand(mx.plan));
    for (const CheckedAddress& address : mx.addresses) address_lines(address, out);
  }
  if (!mx.hint.empty()) out.push_back("    hint: " + mx.hint);
}

void hop_lines(const CheckResult& result, const CheckedHop& hop, Lines& out) {
  if (!hop.via.empty()) out.push_back("next hop " + hop.via);
  if (!hop.hop.name.empty()) policy_lines(result, hop, out);
  if (const auto nothing = verdict_of(hop.mx_set, !hop.via.empty()); nothing && !hop.via.empty())
    out.push_back("  " + nothing->text);
  for (const CheckedMx& mx : hop.mx) mx_lines(mx, out);
}

void exception_lines(const CheckResult& result, Lines& out) {
  for (const ExceptionSettings& exception : result.exceptions) {
    std::vector<std::string> allow;
    for (const Relaxation allowed : exception.allow)
      allow.emplace_back(allowed == Relaxation::bad_certificate ? "bad-certificate" : "no-starttls");
    out.push_back(fmt::format("exception in force for {}: {} until {}: {}",
                              exception.domain.empty() ? exception.mx : exception.domain, joined(allow),
                              rfc3339(WallTime(exception.until)).substr(0, 10), exception.reason));
  }
}

void report_lines(const CheckResult& result, Lines& out) {
  out.emplace_back("TLS-RPT");
  if (result.reports.empty()) out.emplace_back("  no session to report");
  for (const Report& report : result.reports) {
    for (const ReportedPolicy& policy : report.policies) {
      out.push_back(fmt::format("  {} {}: {} successful, {} failed", policy.type, policy.domain,
                                policy.successful, policy.failed));
      for (const FailureDetails& failure : policy.failures) {
        out.push_back(fmt::format("    {} {} {} {}", name(failure.result), failure.receiving_mx_hostname,
                                  failure.receiving_ip, failure.additional_information));
      }
    }
  }
  std::vector<std::string> targets;
  for (const ReportTarget& target : result.report_targets.targets) targets.push_back(target.uri());
  if (!result.report_targets.unknown.empty()) {
    out.push_back("  where reports go is unknown: " + result.report_targets.unknown);
  } else {
    out.push_back(targets.empty() ? "  the domain asks for no reports"
                                  : "  reports go to " + joined(targets));
  }
}

}  // namespace

const char* name(RecordType type) {
  switch (type) {
    case RecordType::a: return "A";
    case RecordType::cname: return "CNAME";
    case RecordType::soa: return "SOA";
    case RecordType::ptr: return "PTR";
    case RecordType::mx: return "MX";
    case RecordType::txt: return "TXT";
    case RecordType::aaaa: return "AAAA";
    case RecordType::tlsa: return "TLSA";
  }
  return "?";
}

std::string record_data_text(const RecordData& data) {
  if (const auto* ip = std::get_if<IpBytes>(&data)) return ip_text(*ip);
  if (const auto* mx = std::get_if<MxRecord>(&data))
    return fmt::format("{} {}", mx->preference, mx->exchange.empty() ? "." : sanitise(mx->exchange));
  if (const auto* tlsa = std::get_if<TlsaRecord>(&data)) return tlsa_text(*tlsa);
  return sanitise(std::get<std::string>(data), kLongestRecord);
}

std::vector<std::string> check_text(const CheckResult& result) {
  Lines out;
  out.push_back(result.domain.text() + ": " + summary(result));
  if (!result.route.empty()) {
    out.push_back("a [[route]] takes mail for this domain to " + result.route);
  }
  if (result.depends_on_sender) out.emplace_back("a [[route]] takes the mail of some senders elsewhere");
  exception_lines(result, out);
  out.emplace_back();
  dns_lines(result, out);
  for (const CheckedHop& hop : result.hops) hop_lines(result, hop, out);
  report_lines(result, out);
  out.emplace_back();
  if (result.message.kind == Verdict::Kind::delivered) {
    out.push_back(fmt::format("{}: to {} [{}]", summary(result), result.message.mx, result.message.ip));
  } else {
    out.push_back(fmt::format("{}: {} {}", summary(result), result.message.status, result.message.text));
  }
  return out;
}

}  // namespace holdfast
