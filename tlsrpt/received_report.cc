#include "tlsrpt/received_report.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <cmath>
#include <optional>

#include "smtp/base/base_error.h"
#include "smtp/wire/ascii.h"
#include "tlsrpt/gzip.h"
#include "tlsrpt/report_part.h"

namespace holdfast {
namespace {

namespace json = boost::json;

constexpr std::uint64_t kMaxCount =
    1'000'000'000'000;  // sessions a day; more is nonsense and could overflow a sum

Error malformed_report(std::string why) { return Error(BaseError::malformed, std::move(why)); }

// Names are compared without case, and "_" counts as "-".
bool same_name(std::string_view a, std::string_view b) {
  const auto fold = [](char c) { return c == '_' ? '-' : to_lower(c); };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return fold(x) == fold(y); });
}

const json::value* find(const json::object& object, std::string_view name) {
  for (const auto& member : object) {
    if (same_name(member.key(), name) && !member.value().is_null()) return &member.value();
  }
  return nullptr;
}

const json::object* find_object(const json::object& object, std::string_view name) {
  const auto* value = find(object, name);
  return value ? value->if_object() : nullptr;
}

std::string text_of(const json::value& value) {
  if (const auto* text = value.if_string()) return std::string(*text);
  if (value.is_int64()) return std::to_string(value.get_int64());
  if (value.is_uint64()) return std::to_string(value.get_uint64());
  // An array of one where a string belongs.
  if (const auto* array = value.if_array(); array && array->size() == 1 && array->front().is_string()) {
    return std::string(array->front().get_string());
  }
  return {};
}

std::string find_text(const json::object& object, std::string_view name) {
  const auto* value = find(object, name);
  return value ? text_of(*value) : std::string();
}

std::vector<std::string> find_texts(const json::object& object, std::string_view name) {
  const auto* value = find(object, name);
  std::vector<std::string> out;
  if (!value) return out;
  if (const auto* array = value->if_array()) {
    for (const auto& element : *array) out.push_back(text_of(element));
  } else if (auto text = text_of(*value); !text.empty()) {
    out.push_back(std::move(text));
  }
  return out;
}

// An element or an array of elements; other kinds of value hold none.
std::vector<const json::object*> find_objects(const json::object& object, std::string_view name) {
  std::vector<const json::object*> out;
  const auto* value = find(object, name);
  if (!value) return out;
  if (const auto* one = value->if_object()) out.push_back(one);
  if (const auto* array = value->if_array()) {
    for (const auto& element : *array) {
      if (const auto* one = element.if_object()) out.push_back(one);
    }
  }
  return out;
}

// nullopt: not there. Error: there, but no count.
Result<std::optional<std::uint64_t>> find_count(const json::object& object, std::string_view name) {
  const auto* value = find(object, name);
  if (!value) return std::optional<std::uint64_t>();
  std::optional<std::uint64_t> count;
  if (value->is_uint64()) count = value->get_uint64();
  if (value->is_int64() && value->get_int64() >= 0) count = static_cast<std::uint64_t>(value->get_int64());
  if (value->is_double() && value->get_double() >= 0 &&
      value->get_double() <= static_cast<double>(kMaxCount)) {
    if (std::trunc(value->get_double()) == value->get_double())
      count = static_cast<std::uint64_t>(value->get_double());
  }
  if (value->is_string()) count = parse_digits(std::string_view(value->get_string()), 13);
  if (!count || *count > kMaxCount) return malformed_report(std::string(name) + " is no number of sessions");
  return count;
}

Result<ReceivedFailure> read_failure(const json::object& object) {
  ReceivedFailure failure;
  failure.result = lower_case(find_text(object, "result-type"));
  if (failure.result.empty()) failure.result = "unspecified";
  failure.sending_mta_ip = find_text(object, "sending-mta-ip");
  failure.receiving_mx_hostname = lower_case(find_text(object, "receiving-mx-hostname"));
  failure.receiving_mx_helo = find_text(object, "receiving-mx-helo");
  failure.receiving_ip = find_text(object, "receiving-ip");
  failure.additional_information = find_text(object, "additional-information");
  failure.reason_code = find_text(object, "failure-reason-code");
  const auto sessions = find_count(object, "failed-session-count");
  if (!sessions) return sessions.error();
  failure.sessions = sessions->value_or(1);  // a failure that is named happened
  return failure;
}

Result<ReceivedPolicy> read_policy(const json::object& object) {
  // Some leave the inner object out and put its members here.
  const auto* inner = find_object(object, "policy");
  const json::object& about = inner ? *inner : object;
  ReceivedPolicy policy;
  policy.type = lower_case(find_text(about, "policy-type"));
  policy.domain = lower_case(find_text(about, "policy-domain"));
  policy.text = find_texts(about, "policy-string");
  policy.mx = find_texts(about, "mx-host");
  if (policy.type.empty()) return malformed_report("a policy has no policy-type");
  std::uint64_t named = 0;
  for (const auto* details : find_objects(object, "failure-details")) {
    auto failure = read_failure(*details);
    if (!failure) return failure.error();
    named += failure->sessions;
    policy.failures.push_back(std::move(*failure));
  }
  const auto* own_summary = find_object(object, "summary");
  const json::object& summary = own_summary ? *own_summary : object;
  const auto successful = find_count(summary, "total-successful-session-count");
  if (!successful) return successful.error();
  const auto failed = find_count(summary, "total-failure-session-count");
  if (!failed) return failed.error();
  policy.successful = successful->value_or(0);
  policy.failed = failed->value_or(named);
  return policy;
}

std::string_view without_mark(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  return text;
}

}  // namespace

std::string ReceivedReport::day() const {
  // Others wrote it: a character that is cut in two would be neither UTF-8 nor JSON.
  const auto odd = std::find_if(start.begin(), start.end(), [](char c) { return c < ' ' || c > '~'; });
  return std::string(start.begin(), odd).substr(0, 10);
}

Result<ReceivedReport> parse_received_report(std::string_view text) {
  if (text.size() > kMaxReceivedReport) return Error(BaseError::too_long, "more than 16 MiB of JSON");
  boost::system::error_code error;
  const json::value root = json::parse(without_mark(text), error);
  if (error) return malformed_report("not JSON: " + error.message());
  // Some wrap the report in an array of one.
  const auto* array = root.if_array();
  const json::value& only = array && array->size() == 1 ? array->front() : root;
  const auto* object = only.if_object();
  if (!object) return malformed_report("JSON, but no report: not an object");

  ReceivedReport report;
  report.organization = find_text(*object, "organization-name");
  report.contact = find_text(*object, "contact-info");
  report.report_id = find_text(*object, "report-id");
  if (const auto* range = find_object(*object, "date-range")) {
    report.start = find_text(*range, "start-datetime");
    report.end = find_text(*range, "end-datetime");
  }
  if (!find(*object, "policies")) return malformed_report("JSON, but no TLS report: it has no policies");
  for (const auto* element : find_objects(*object, "policies")) {
    auto policy = read_policy(*element);
    if (!policy) return policy.error();
    report.policies.push_back(std::move(*policy));
  }
  return report;
}

Result<ReceivedReport> read_received_report(std::string_view octets) {
  if (octets.size() > kMaxReceivedReport) return Error(BaseError::too_long, "more than 16 MiB");
  if (octets.empty()) return malformed_report("empty");
  if (looks_like_gzip(octets)) {
    const auto text = gunzip(octets, kMaxReceivedReport);
    return text ? parse_received_report(*text) : Result<ReceivedReport>(text.error());
  }
  const auto text = without_mark(octets);
  if (text.starts_with('{') || text.starts_with('[')) return parse_received_report(text);
  const auto part = find_report_part(octets);
  if (!part) return malformed_report("neither JSON nor gzip, nor a mail with a TLS report in it");
  if (!looks_like_gzip(*part)) return parse_received_report(*part);
  const auto unpacked = gunzip(*part, kMaxReceivedReport);
  return unpacked ? parse_received_report(*unpacked) : Result<ReceivedReport>(unpacked.error());
}

}  // namespace holdfast
