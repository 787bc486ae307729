#include "tlsrpt/report_json.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "smtp/wire/reply.h"
#include "tlsrpt/received_report.h"

namespace holdfast {

namespace json = boost::json;

namespace {

constexpr int kPreviewSchema = 1;

std::string iso_day(std::chrono::sys_days day) {
  return fmt::format("{:%Y-%m-%d}", std::chrono::sys_seconds(day));
}

// Valid UTF-8 without control characters, whatever peers and policies hold: JSON must stay JSON.
std::string clean(const std::string& value) { return sanitise(value, 4 * value.size()); }

json::array strings(const std::vector<std::string>& values) {
  json::array out;
  for (const auto& value : values) out.emplace_back(clean(value));
  return out;
}

ResultType result_type_named(std::string_view text) {
  for (int i = 0; i <= static_cast<int>(ResultType::sts_webpki_invalid); ++i) {
    if (text == name(static_cast<ResultType>(i))) return static_cast<ResultType>(i);
  }
  return ResultType::validation_failure;
}

// Optional members are left out when there is nothing to say (RFC 8460 section 4.4).
void put(json::object& object, const char* key, const std::string& value) {
  if (!value.empty()) object[key] = clean(value);
}

json::object details(const FailureDetails& failure) {
  json::object out;
  out["result-type"] = name(failure.result);
  put(out, "sending-mta-ip", failure.sending_mta_ip);
  put(out, "receiving-mx-hostname", failure.receiving_mx_hostname);
  put(out, "receiving-mx-helo", failure.receiving_mx_helo);
  put(out, "receiving-ip", failure.receiving_ip);
  out["failed-session-count"] = failure.failed_sessions;
  put(out, "additional-information", failure.additional_information);
  put(out, "failure-reason-code", failure.reason_code);
  return out;
}

json::object policy_object(const ReportedPolicy& policy) {
  json::object about;
  about["policy-type"] = policy.type;
  if (policy.type != "no-policy-found") about["policy-string"] = strings(policy.text);
  about["policy-domain"] = policy.domain;
  if (!policy.mx.empty()) about["mx-host"] = strings(policy.mx);
  json::object summary;
  summary["total-successful-session-count"] = policy.successful;
  summary["total-failure-session-count"] = policy.failed;
  json::object out;
  out["policy"] = std::move(about);
  out["summary"] = std::move(summary);
  if (!policy.failures.empty()) {
    json::array failures;
    for (const auto& failure : policy.failures) failures.emplace_back(details(failure));
    out["failure-details"] = std::move(failures);
  }
  return out;
}

json::object report_object(const Report& report) {
  json::object range;
  range["start-datetime"] = iso_day(report.day) + "T00:00:00Z";
  range["end-datetime"] = iso_day(report.day) + "T23:59:59Z";
  json::array policies;
  for (const auto& policy : report.policies) policies.emplace_back(policy_object(policy));
  json::object out;
  out["organization-name"] = clean(report.organization);
  out["date-range"] = std::move(range);
  out["contact-info"] = report.contact;
  out["report-id"] = report.report_id;
  out["policies"] = std::move(policies);
  return out;
}

}  // namespace

std::string report_json(const Report& report) { return json::serialize(report_object(report)); }

Result<Report> report_from_json(std::string_view text, std::chrono::sys_days day, const DomainName& domain) {
  auto read = parse_received_report(text);
  if (!read) return read.error();
  Report report;
  report.organization = read->organization;
  report.contact = read->contact;
  report.report_id = read->report_id;
  report.day = day;
  report.domain = domain;
  for (auto& policy : read->policies) {
    ReportedPolicy& out = report.policies.emplace_back();
    out.type = policy.type;
    out.domain = policy.domain;
    out.text = policy.text;
    out.mx = policy.mx;
    out.successful = policy.successful;
    out.failed = policy.failed;
    for (const auto& failure : policy.failures) {
      FailureDetails& details = out.failures.emplace_back();
      details.result = result_type_named(failure.result);
      details.sending_mta_ip = failure.sending_mta_ip;
      details.receiving_mx_hostname = failure.receiving_mx_hostname;
      details.receiving_mx_helo = failure.receiving_mx_helo;
      details.receiving_ip = failure.receiving_ip;
      details.failed_sessions = failure.sessions;
      details.additional_information = failure.additional_information;
      details.reason_code = failure.reason_code;
    }
  }
  return report;
}

std::string preview_json(const Report& report, const std::vector<ReportTarget>& targets,
                         const std::string& targets_unknown) {
  json::array uris;
  for (const auto& target : targets) uris.emplace_back(target.uri());
  json::object out;
  out["schema"] = kPreviewSchema;
  out["domain"] = report.domain.text();
  out["day"] = iso_day(report.day);
  out["targets"] = std::move(uris);
  if (!targets_unknown.empty()) out["targets_unknown"] = targets_unknown;
  out["report"] = report_object(report);
  return json::serialize(out);
}

}  // namespace holdfast
