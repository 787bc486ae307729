#include "tlsrpt/report_summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <map>
#include <tuple>

namespace holdfast {
namespace {

namespace json = boost::json;

constexpr int kSchema = 1;
constexpr std::size_t kMostDetails = 5;  // per failure; reports may hold thousands of different texts

struct Advice {
  std::string_view result;
  const char* sentence;
};
constexpr Advice kAdvice[] = {
    {"starttls-not-supported",
     "Switch STARTTLS on at this MX; if it is on, something on the way strips it, and the senders did well "
     "to wait."},
    {"certificate-host-mismatch",
     "Give this MX a certificate that holds its MX host name as a DNS name (SAN)."},
    {"certificate-expired", "Renew the certificate of this MX, and check that it is loaded after renewal."},
    {"certificate-not-trusted",
     "Send the intermediate certificates along, and use a certificate of a publicly trusted authority."},
    {"validation-failure",
     "See the details: an MX missing from the policy or a TLSA record that matches no certificate are the "
     "usual causes."},
    {"tlsa-invalid",
     "Correct the TLSA record: only usages 2 and 3 count for mail, and its data must fit its type."},
    {"dnssec-invalid",
     "Repair DNSSEC of this zone: signatures are missing, expired or do not match the parent."},
    {"dane-required", "Publish TLSA records for this MX, in a signed zone: a sender demands them."},
    {"sts-policy-fetch-error",
     "Make https://mta-sts.DOMAIN/.well-known/mta-sts.txt answer with status 200 and text/plain, without "
     "redirect."},
    {"sts-policy-invalid",
     "Correct the MTA-STS policy file: version, mode, max_age and at least one mx line."},
    {"sts-webpki-invalid", "Give the policy host mta-sts.DOMAIN a valid certificate for that very name."},
};

// Reports are others' text: what a terminal would take as a command (C0, DEL, and C1 in UTF-8) is replaced.
std::string printable(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto octet = static_cast<unsigned char>(text[i]);
    const bool c1 = octet == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if (c1) ++i;
    out += c1 || octet < 0x20 || octet == 0x7f ? '?' : text[i];
  }
  return out.empty() ? "-" : out;
}

std::string day_range(const std::set<std::string>& days) {
  if (days.empty()) return "-";
  if (days.size() == 1) return printable(*days.begin());
  return printable(*days.begin()) + " to " + printable(*days.rbegin());
}

std::string listed(const std::set<std::string>& values) {
  std::string out;
  for (const auto& value : values) out += (out.empty() ? "" : ", ") + printable(value);
  return out.empty() ? "-" : out;
}

// Columns as wide as their widest cell, two spaces between.
std::string columns(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) line += fmt::format("{:<{}}  ", row[i], widths[i]);
    line.resize(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

json::array array_of(const std::set<std::string>& values) {
  json::array out;
  for (const auto& value : values) out.emplace_back(value);
  return out;
}

std::string line_of(json::object object, const char* kind) {
  object["schema"] = kSchema;
  object["kind"] = kind;
  return json::serialize(object) + "\n";
}

std::string name_of(const ReceivedReport& report) {
  return report.organization.empty() ? report.contact : report.organization;
}

}  // namespace

const char* advice_for(std::string_view result) {
  for (const auto& advice : kAdvice) {
    if (advice.result == result) return advice.sentence;
  }
  return "The sender names a result that RFC 8460 does not know; ask it for details.";
}

ReportSummary summarise(const std::vector<ReceivedReport>& reports) {
  ReportSummary summary;
  std::map<std::pair<std::string, std::string>, PolicyTotal> policies;
  std::map<std::tuple<std::string, std::string, std::string, std::string>, FailureTotal> failures;
  std::map<std::string, SourceTotal> sources;
  std::set<std::pair<std::string, std::string>> seen;
  for (const auto& report : reports) {
    const std::string organization = name_of(report);
    if (!report.report_id.empty() && !seen.insert({organization, report.report_id}).second) {
      ++summary.repeated;
      continue;
    }
    ++summary.reports;
    auto& source = sources[organization];
    source.organization = organization;
    ++source.reports;
    source.days.insert(report.day());
    for (const auto& policy : report.policies) {
      auto& total = policies[{policy.domain, policy.type}];
      total.domain = policy.domain;
      total.type = policy.type;
      total.successful += policy.successful;
      total.failed += policy.failed;
      total.days.insert(report.day());
      total.sources.insert(organization);
      source.successful += policy.successful;
      source.failed += policy.failed;
      for (const auto& failure : policy.failures) {
        auto& kind = failures[{policy.domain, policy.type, failure.result, failure.receiving_mx_hostname}];
        kind.domain = policy.domain;
        kind.type = policy.type;
        kind.result = failure.result;
        kind.mx = failure.receiving_mx_hostname;
        kind.sessions += failure.sessions;
        kind.days.insert(report.day());
        kind.sources.insert(organization);
        for (const auto* text : {&failure.reason_code, &failure.additional_information}) {
          if (!text->empty() && kind.details.size() < kMostDetails) kind.details.insert(*text);
        }
      }
    }
  }
  for (auto& [key, total] : policies) summary.policies.push_back(std::move(total));
  for (auto& [key, total] : failures) summary.failures.push_back(std::move(total));
  for (auto& [key, total] : sources) summary.sources.push_back(std::move(total));
  std::stable_sort(summary.failures.begin(), summary.failures.end(),
                   [](const auto& a, const auto& b) { return a.sessions > b.sessions; });
  std::stable_sort(summary.sources.begin(), summary.sources.end(), [](const auto& a, const auto& b) {
    return a.successful + a.failed > b.successful + b.failed;
  });
  return summary;
}

std::string summary_text(const ReportSummary& summary) {
  std::vector<std::vector<std::string>> rows{{"DOMAIN", "POLICY", "GOOD", "FAILED", "DAYS", "SENDERS"}};
  for (const auto& total : summary.policies) {
    rows.push_back({printable(total.domain), printable(total.type), std::to_string(total.successful),
                    std::to_string(total.failed), day_range(total.days),
                    std::to_string(total.sources.size())});
  }
  std::string out = columns(rows);
  rows = {{"SENDER", "REPORTS", "GOOD", "FAILED", "DAYS"}};
  for (const auto& source : summary.sources) {
    rows.push_back({printable(source.organization), std::to_string(source.reports),
                    std::to_string(source.successful), std::to_string(source.failed),
                    day_range(source.days)});
  }
  out += "\n" + columns(rows);
  if (summary.failures.empty()) {
    out += "\nNo failures were reported.\n";
  } else {
    rows = {{"FAILED", "RESULT", "MX", "DOMAIN", "POLICY", "DAYS", "SENDERS"}};
    for (const auto& failure : summary.failures) {
      rows.push_back({std::to_string(failure.sessions), printable(failure.result), printable(failure.mx),
                      printable(failure.domain), printable(failure.type), day_range(failure.days),
                      listed(failure.sources)});
    }
    out += "\n" + columns(rows) + "\n";
    std::set<std::string> advised;
    for (const auto& failure : summary.failures) {
      if (!advised.insert(failure.result).second) continue;
      out += printable(failure.result) + ": " + advice_for(failure.result) + "\n";
      if (!failure.details.empty()) out += "  reported: " + listed(failure.details) + "\n";
    }
  }
  if (summary.repeated > 0)
    out += fmt::format("\n{} reports came more than once and were counted once.\n", summary.repeated);
  return out;
}

std::string summary_json(const ReportSummary& summary) {
  std::string out;
  for (const auto& total : summary.policies) {
    json::object object{{"domain", total.domain},         {"policy", total.type},
                        {"successful", total.successful}, {"failed", total.failed},
                        {"days", array_of(total.days)},   {"sources", array_of(total.sources)}};
    out += line_of(std::move(object), "policy");
  }
  for (const auto& failure : summary.failures) {
    json::object object{{"domain", failure.domain},
                        {"policy", failure.type},
                        {"result", failure.result},
                        {"mx", failure.mx},
                        {"sessions", failure.sessions},
                        {"days", array_of(failure.days)},
                        {"sources", array_of(failure.sources)},
                        {"details", array_of(failure.details)},
                        {"advice", advice_for(failure.result)}};
    out += line_of(std::move(object), "failure");
  }
  for (const auto& source : summary.sources) {
    json::object object{{"source", source.organization},
                        {"reports", source.reports},
                        {"successful", source.successful},
                        {"failed", source.failed},
                        {"days", array_of(source.days)}};
    out += line_of(std::move(object), "source");
  }
  return out;
}

}  // namespace holdfast
