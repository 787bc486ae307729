#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "mta/admin_json.h"
#include "mta/check_domain.h"
#include "sts/dane.h"

namespace holdfast {
namespace {

namespace json = boost::json;

// What a peer sent must not break the line, nor be endless; JSON is UTF-8.
constexpr std::size_t kLongestText = 4096;

json::array strings(const std::vector<std::string>& values) {
  json::array out;
  for (const auto& value : values) out.emplace_back(sanitise(value, kLongestText));
  return out;
}

// Members without a value are left out.
void put(json::object& object, const char* key, const std::string& value) {
  if (!value.empty()) object[key] = sanitise(value, kLongestText);
}

const char* level_name(const TlsRequirement& requirement) {
  switch (requirement.level) {
    case TlsLevel::opportunistic: return "opportunistic";
    case TlsLevel::encrypted: return "encrypted";
    case TlsLevel::authenticated: return "authenticated";
  }
  return "authenticated";
}

json::object policy_object(const CheckResult& all, const CheckedHop& result) {
  json::object out;
  switch (result.sts.state) {
    case StsLookup::State::present: out["state"] = "present"; break;
    case StsLookup::State::absent: out["state"] = "absent"; break;
    case StsLookup::State::unknown: out["state"] = "unknown"; break;
  }
  if (result.sts.cached) {
    const CachedPolicy& policy = *result.sts.cached;
    out["id"] = policy.id;
    out["mode"] = name(policy.policy.mode);
    out["max_age"] = policy.policy.max_age.count();
    out["mx"] = strings(policy.policy.mx);
    out["fetched"] = rfc3339(policy.fetched);
    out["expires"] = rfc3339(policy.expires);
    out["source"] = result.policy_source;
  }
  put(out, "detail", result.sts.detail);
  if (result.sts.fetch_failure) out["fetch_failure"] = name(*result.sts.fetch_failure);
  put(out, "live_failure", result.policy_failure);
  put(out, "cache_unread", all.cache_unread);
  return out;
}

json::object failure_object(const TlsFailure& failure) {
  json::object out;
  out["error"] = describe(failure.error);
  put(out, "detail", failure.detail);
  put(out, "code", failure.code);
  return out;
}

json::object certificate_object(const CertificateInfo& info) {
  json::object out;
  out["subject"] = info.subject;
  out["issuer"] = info.issuer;
  out["names"] = strings(info.names);
  out["not_before"] = rfc3339(info.not_before);
  out["not_after"] = rfc3339(info.not_after);
  out["key"] = info.key;
  out["sha256"] = info.sha256;
  return out;
}

json::object tls_object(const TlsEvidence& evidence) {
  json::object out;
  out["version"] = name(evidence.version);
  out["cipher"] = evidence.cipher;
  out["sni"] = evidence.server_name.text();
  out["requiretls_offered"] = evidence.requiretls_offered;
  out["pkix_verified"] = evidence.pkix.has_value();
  if (evidence.pkix_failure) out["pkix_failure"] = failure_object(evidence.pkix_failure);
  out["dane_verified"] = evidence.dane.has_value();
  put(out, "dane_match", evidence.dane_match);
  if (evidence.dane_failure) out["dane_failure"] = failure_object(evidence.dane_failure);
  json::array chain;
  for (const CertificateInfo& info : evidence.chain) chain.emplace_back(certificate_object(info));
  out["chain"] = std::move(chain);
  return out;
}

json::object address_object(const CheckedAddress& address) {
  const OpenResult& opened = address.opened;
  json::object out;
  out["ip"] = ip_text(address.ip);
  out["reached"] = address.reached;
  out["stage"] = address.reached && !address.fell_back ? "ready" : name(opened.stage);
  put(out, "helo", opened.helo);
  const bool shown = opened.evidence.version != TlsVersion::none || !opened.evidence.chain.empty();
  if (shown) out["tls"] = tls_object(opened.evidence);
  if (opened.tls_failure) out["tls_failure"] = failure_object(opened.tls_failure);
  out["clear"] = address.reached && (address.fell_back || opened.evidence.version == TlsVersion::none);
  put(out, "clear_problem", address.clear_problem);
  if (opened.refused) out["refused"] = opened.refused->summary();
  if (opened.broken) out["broken"] = opened.broken->text();
  if (address.extensions) {
    out["size"] = address.extensions->size;
    out["pipelining"] = address.extensions->pipelining;
    out["chunking"] = address.extensions->chunking;
    out["smtputf8"] = address.extensions->smtputf8;
  }
  out["transcript"] = strings(opened.transcript);
  return out;
}

json::object requirement_object(const TlsRequirement& requirement) {
  json::object out;
  out["level"] = level_name(requirement);
  out["clear_allowed"] = requirement.cleartext_allowed;
  if (requirement.pkix) out["pkix"] = requirement.pkix->name.text();
  if (requirement.dane) {
    out["dane_base"] = requirement.dane->base_domain.text();
    json::array records;
    for (const TlsaRecord& record : requirement.dane->records) records.emplace_back(tlsa_text(record));
    out["dane_records"] = std::move(records);
  }
  if (requirement.min_version != TlsVersion::none) out["min_version"] = name(requirement.min_version);
  put(out, "ciphers", requirement.ciphers);
  if (requirement.watch_pkix) out["watch_pkix"] = requirement.watch_pkix->name.text();
  if (requirement.watch_dane) out["watch_dane"] = requirement.watch_dane->base_domain.text();
  return out;
}

json::object mx_object(const CheckedHop& hop, const CheckedMx& mx) {
  json::object out;
  put(out, "via", hop.via);
  out["host"] = mx.plan.mx.name.text();
  out["preference"] = mx.plan.mx.preference;
  out["verdict"] = name(mx.verdict);
  put(out, "reason", mx.reason);
  put(out, "hint", mx.hint);
  out["usable"] = mx.plan.usable;
  if (mx.plan.finding != PlanFinding::none) out["finding"] = describe(mx.plan.finding);
  put(out, "detail", mx.plan.detail);
  put(out, "pattern", mx.pattern);
  out["policy"] = policy_label(mx.plan, !hop.via.empty());
  out["mode"] = policy_mode(mx.plan);
  out["addresses_secure"] = mx.plan.addresses.secure;
  if (mx.plan.usable) out["requirement"] = requirement_object(mx.plan.requirement);
  for (const AppliedPolicy& policy : mx.plan.policies)
    if (policy.type == AppliedPolicy::Type::tlsa) out["tlsa"] = strings(policy.text);
  json::array evidence;
  if (mx.plan.usable)
    for (const CheckedAddress& address : mx.addresses) evidence.emplace_back(address_object(address));
  out["evidence"] = std::move(evidence);
  return out;
}

// A next hop of a route; what it shows of each MX stands in the common list.
json::object hop_object(const CheckResult& all, const CheckedHop& hop) {
  json::object out;
  out["via"] = hop.via;
  out["next_hop"] = hop.hop.name.text();
  out["port"] = hop.hop.port;
  out["implicit_tls"] = hop.hop.implicit_tls;
  out["policy"] = policy_object(all, hop);
  out["mx_secure"] = hop.mx_set.secure;
  put(out, "detail", hop.mx_set.detail);
  return out;
}

json::object exception_object(const ExceptionSettings& exception) {
  json::object out;
  put(out, "domain", exception.domain);
  put(out, "mx", exception.mx);
  json::array allow;
  for (const Relaxation allowed : exception.allow)
    allow.emplace_back(allowed == Relaxation::bad_certificate ? "bad-certificate" : "no-starttls");
  out["allow"] = std::move(allow);
  out["reason"] = exception.reason;
  out["until"] = rfc3339(WallTime(exception.until)).substr(0, 10);
  return out;
}

json::object record_object(const SeenAnswer& seen) {
  json::object out;
  out["name"] = seen.name.empty() ? std::string(".") : seen.name;  // the root: the probe of the resolver
  out["type"] = name(seen.type);
  out["status"] = describe(seen.answer.status);
  out["secure"] = seen.answer.secure;
  out["ttl"] = seen.answer.ttl.count();
  if (seen.answer.name != seen.name) put(out, "alias_of", seen.answer.name);
  json::array data;
  for (const RecordData& record : seen.answer.records) data.emplace_back(record_data_text(record));
  out["data"] = std::move(data);
  return out;
}

json::object message_object(const Verdict& message) {
  json::object out;
  if (message.kind == Verdict::Kind::delivered) {
    out["mx"] = message.mx;
    out["ip"] = message.ip;
    return out;
  }
  out["enhanced"] = message.status;
  out["reply"] = message.text;
  put(out, "explanation", message.explanation);
  put(out, "policy", message.policy_field);
  return out;
}

template <class T, class Make>
json::array objects(const std::vector<T>& items, Make make) {
  json::array out;
  for (const T& item : items) out.emplace_back(make(item));
  return out;
}

}  // namespace

std::string check_json(const CheckResult& result) {
  json::object out;
  out["schema"] = kAdminSchema;
  out["domain"] = result.domain.text();
  out["at"] = rfc3339(result.at);
  out["dnssec_validating"] = result.validating;
  const CheckedHop none;
  const CheckedHop& first = result.hops.empty() ? none : result.hops.front();
  out["policy"] = policy_object(result, first);
  out["mx_secure"] = first.mx_set.secure;
  out["mx_implicit"] = first.mx_set.implicit;
  put(out, "route", result.route);
  out["depends_on_sender"] = result.depends_on_sender;
  out["exceptions"] = objects(result.exceptions, exception_object);
  json::array hops, mx;
  for (const CheckedHop& hop : result.hops) {
    if (!hop.via.empty()) hops.emplace_back(hop_object(result, hop));
    for (const CheckedMx& one : hop.mx) mx.emplace_back(mx_object(hop, one));
  }
  if (!hops.empty()) out["hops"] = std::move(hops);
  out["mx"] = std::move(mx);
  out["verdict"] = name(result.verdict);
  out["message"] = message_object(result.message);
  json::object tlsrpt;
  json::array targets;
  for (const ReportTarget& target : result.report_targets.targets) targets.emplace_back(target.uri());
  tlsrpt["targets"] = std::move(targets);
  put(tlsrpt, "targets_unknown", result.report_targets.unknown);
  json::array others;
  for (const Report& report : result.reports) {
    const std::string text = report_json(report);
    json::value value = json::parse(sanitise(text, text.size()));
    if (report.domain == result.report_domain) {
      tlsrpt["report"] = std::move(value);
    } else {
      others.emplace_back(std::move(value));
    }
  }
  if (!others.empty()) tlsrpt["other_reports"] = std::move(others);
  out["tlsrpt"] = std::move(tlsrpt);
  out["records"] = objects(result.records, record_object);
  return json::serialize(out);
}

}  // namespace holdfast
