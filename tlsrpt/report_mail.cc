#include "tlsrpt/report_mail.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "smtp/wire/base64.h"

namespace holdfast {
namespace {

constexpr std::size_t kFoldAt = 76;            // RFC 5322 section 2.1.1 and RFC 2045 section 6.8
constexpr std::size_t kMostFailureLines = 20;  // for people; the attachment has all

// Nothing that a peer or a configuration file says may end a line of ours or leave ASCII.
std::string plain(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c < 0x20 || c == 0x7f) c = '?';
  }
  return out;
}

// A header field, broken before a word where it grows long (RFC 5322 section 2.2.3).
std::string header(std::string_view name, std::string_view value) {
  std::string out = fmt::format("{}:", name);
  std::size_t column = out.size();
  while (!value.empty()) {
    const auto word = value.substr(0, value.find(' '));
    value.remove_prefix(std::min(word.size() + 1, value.size()));
    if (column + 1 + word.size() > kFoldAt && column > name.size() + 1) {
      out += "\r\n";
      column = 0;
    }
    out += ' ';
    out += plain(word);
    column += 1 + word.size();
  }
  return out + "\r\n";
}

std::string base64_lines(std::string_view octets) {
  const std::string encoded = base64_encode(octets);
  std::string out;
  for (std::size_t at = 0; at < encoded.size(); at += kFoldAt) {
    out.append(encoded, at, kFoldAt);
    out += "\r\n";
  }
  return out;
}

std::string day_text(std::chrono::sys_days day) {
  return fmt::format("{:%Y-%m-%d}", std::chrono::sys_seconds(day));
}

std::string ascii(std::string_view text) {
  std::string out = plain(text);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) >= 0x80) c = '?';
  }
  return out;
}

std::string text_part(const Report& report) {
  std::uint64_t successful = 0, failed = 0;
  for (const auto& policy : report.policies) {
    successful += policy.successful;
    failed += policy.failed;
  }
  std::string out = fmt::format(
      "This is a TLS report (RFC 8460): how the TLS sessions went in which\r\n"
      "{}\r\ndelivered or tried to deliver mail to your domain.\r\n\r\n"
      "Domain:     {}\r\nDay:        {} (UTC)\r\nReport id:  {}\r\n\r\n"
      "Sessions that went well: {}\r\nSessions that failed:    {}\r\n",
      ascii(report.organization), report.domain.text(), day_text(report.day), ascii(report.report_id),
      successful, failed);
  std::size_t lines = 0, left_out = 0;
  for (const auto& policy : report.policies) {
    out += fmt::format("\r\nPolicy {} of {}: {} went well, {} failed\r\n", policy.type, ascii(policy.domain),
                       policy.successful, policy.failed);
    for (const auto& failure : policy.failures) {
      if (++lines > kMostFailureLines) {
        ++left_out;
        continue;
      }
      out += fmt::format("  {} x {}", failure.failed_sessions, name(failure.result));
      if (!failure.receiving_mx_hostname.empty()) out += " at " + ascii(failure.receiving_mx_hostname);
      if (!failure.receiving_ip.empty()) out += " [" + ascii(failure.receiving_ip) + "]";
      out += "\r\n";
    }
  }
  if (left_out > 0)
    out += fmt::format("\r\n{} more kinds of failure are in the attached report.\r\n", left_out);
  out += fmt::format("\r\nThe attachment holds the report for programs. Questions: {}\r\n",
                     ascii(report.contact));
  return out;
}

}  // namespace

std::string submitter_of(std::string_view contact) {
  const auto at = contact.rfind('@');
  return at == contact.npos ? std::string() : std::string(contact.substr(at + 1));
}

std::string report_filename(const Report& report) {
  using std::chrono::seconds;
  const auto begin = std::chrono::sys_seconds(report.day);
  const auto end = begin + std::chrono::hours(24) - seconds(1);
  return fmt::format("{}!{}!{}!{}.json.gz", submitter_of(report.contact), report.domain.text(),
                     begin.time_since_epoch().count(), end.time_since_epoch().count());
}

std::string report_mail(const Report& report, std::string_view json_gz, std::string_view to, WallTime date) {
  const std::string submitter = submitter_of(report.contact);
  const std::string filename = report_filename(report);
  // Stands in no line of the parts: the text has no line that begins with "--", base64 has no "-".
  const std::string boundary =
      fmt::format("tlsrpt-{}-{:08x}", report.day.time_since_epoch().count(),
                  static_cast<std::uint32_t>(std::hash<std::string>()(report.report_id)));
  std::string out;
  out += header("From", fmt::format("<{}>", report.contact));
  out += header("To", fmt::format("<{}>", to));
  out += header(
      "Date", fmt::format("{:%a, %d %b %Y %H:%M:%S} +0000", std::chrono::floor<std::chrono::seconds>(date)));
  out += header("Message-ID", fmt::format("<tlsrpt.{}>", report.report_id));
  out += header("Subject", fmt::format("Report Domain: {} Submitter: {} Report-ID: <{}>",
                                       report.domain.text(), submitter, report.report_id));
  out += header("TLS-Report-Domain", report.domain.text());
  out += header("TLS-Report-Submitter", submitter);
  // RFC 8689 section 5: a report on broken TLS must not be held up by it (RFC 8460 section 5.3).
  out += header("TLS-Required", "No");
  out += header("Auto-Submitted", "auto-generated");
  out += header("MIME-Version", "1.0");
  out += header("Content-Type",
                fmt::format("multipart/report; report-type=\"tlsrpt\"; boundary=\"{}\"", boundary));
  out += fmt::format("\r\n--{}\r\n", boundary);
  out += "Content-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n\r\n";
  out += text_part(report);
  out += fmt::format("\r\n--{}\r\n", boundary);
  out += "Content-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\n";
  out += fmt::format("Content-Disposition: attachment;\r\n filename=\"{}\"\r\n\r\n", plain(filename));
  out += base64_lines(json_gz);
  out += fmt::format("\r\n--{}--\r\n", boundary);
  return out;
}

}  // namespace holdfast
