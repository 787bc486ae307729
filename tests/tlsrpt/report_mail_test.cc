#include "tlsrpt/report_mail.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "smtp/base/base_error.h"
#include "tlsrpt/gzip.h"
#include "tlsrpt/received_report.h"
#include "tlsrpt/report_json.h"
#include "tlsrpt/report_part.h"

namespace holdfast {
namespace {

const std::chrono::sys_days kMailDay = std::chrono::year(2026) / 11 / 20;
const WallTime kSent = kMailDay + std::chrono::hours(25);

Report sample_of_mail() {
  Report report;
  report.organization = "Relay Inc.";
  report.contact = "tls@relay.example";
  report.day = kMailDay;
  report.domain = *DomainName::parse("a.example");
  report.report_id = report_id(kMailDay, report.domain, "relay.example");
  ReportedPolicy policy;
  policy.type = "sts";
  policy.domain = "a.example";
  policy.successful = 12;
  policy.failed = 3;
  FailureDetails failure;
  failure.result = ResultType::certificate_expired;
  failure.receiving_mx_hostname = "mx.a.example";
  failure.receiving_ip = "192.0.2.1";
  failure.failed_sessions = 3;
  policy.failures.push_back(failure);
  report.policies.push_back(policy);
  return report;
}

std::string mail_of(const Report& report) {
  return report_mail(report, gzip(report_json(report)), "rua@a.example", kSent);
}

// The header section, unfolded.
std::string header_of(const std::string& mail) {
  std::string header = mail.substr(0, mail.find("\r\n\r\n") + 2);
  for (auto at = header.find("\r\n "); at != header.npos; at = header.find("\r\n "))
    header.replace(at, 2, "");
  return header;
}

TEST(ReportMail, CarriesTheFieldsOfRfc8460) {
  const auto header = header_of(mail_of(sample_of_mail()));
  for (const char* field :
       {"From: <tls@relay.example>\r\n", "To: <rua@a.example>\r\n",
        "Date: Sat, 21 Nov 2026 01:00:00 +0000\r\n",
        "Subject: Report Domain: a.example Submitter: relay.example Report-ID: "
        "<20261120.a.example@relay.example>\r\n",
        "TLS-Report-Domain: a.example\r\n", "TLS-Report-Submitter: relay.example\r\n", "TLS-Required: No\r\n",
        "Message-ID: <tlsrpt.20261120.a.example@relay.example>\r\n", "Auto-Submitted: auto-generated\r\n"}) {
    EXPECT_NE(header.find(field), header.npos) << field << header;
  }
  EXPECT_NE(header.find("multipart/report; report-type=\"tlsrpt\"; boundary="), header.npos);
}

TEST(ReportMail, NamesItsAttachmentBySubmitterDomainAndDay) {
  EXPECT_EQ(report_filename(sample_of_mail()), "relay.example!a.example!1795132800!1795219199.json.gz");
  EXPECT_NE(
      mail_of(sample_of_mail()).find("filename=\"relay.example!a.example!1795132800!1795219199.json.gz\""),
      std::string::npos);
}

TEST(ReportMail, CarriesTheReportItself) {
  const auto report = sample_of_mail();
  const auto part = find_report_part(mail_of(report));
  ASSERT_TRUE(part);
  EXPECT_EQ(*gunzip(*part, 1 << 20), report_json(report));
}

constexpr const char* kPythonCheck = R"py(
import email, email.policy, gzip, json, sys
m = email.message_from_binary_file(sys.stdin.buffer, policy=email.policy.default)
assert m.get_content_type() == "multipart/report" and m.get_param("report-type") == "tlsrpt", m["content-type"]
assert not m.defects, m.defects
text, report = m.iter_parts()
assert not text.defects and not report.defects
assert text.get_content_type() == "text/plain" and "certificate-expired" in text.get_content()
assert report.get_content_type() == "application/tlsrpt+gzip"
assert report.get_filename() == "relay.example!a.example!1795132800!1795219199.json.gz", report.get_filename()
assert json.loads(gzip.decompress(report.get_content()))["contact-info"] == "tls@relay.example"
assert m["subject"] == "Report Domain: a.example Submitter: relay.example Report-ID: <20261120.a.example@relay.example>"
)py";

TEST(ReportMail, IsReadByPythonsEmailPackage) {
  const char* python = "/usr/bin/python3";
  if (::access(python, X_OK) != 0) GTEST_SKIP() << python << " is not installed";
  ::setenv("HOLDFAST_PYTHON_CHECK", kPythonCheck, 1);
  FILE* pipe = ::popen("/usr/bin/python3 -c \"$HOLDFAST_PYTHON_CHECK\"", "w");
  ASSERT_NE(pipe, nullptr);
  const auto mail = mail_of(sample_of_mail());
  EXPECT_EQ(std::fwrite(mail.data(), 1, mail.size(), pipe), mail.size());
  EXPECT_EQ(::pclose(pipe), 0);
}

TEST(ReportMail, TellsPeopleTheSum) {
  const auto mail = mail_of(sample_of_mail());
  EXPECT_NE(mail.find("Sessions that went well: 12\r\n"), mail.npos);
  EXPECT_NE(mail.find("  3 x certificate-expired at mx.a.example [192.0.2.1]\r\n"), mail.npos);
}

TEST(ReportMail, KeepsItsLinesShortAsciiAndEndedByCrlf) {
  auto report = sample_of_mail();
  report.organization = "Evil\r\nBcc: x@y.example\r\n\xc3\xbc";
  report.policies[0].failures[0].receiving_mx_hostname = "mx\r\n.\r\n\xff";
  for (int i = 0; i < 100; ++i) report.policies[0].failures.push_back(report.policies[0].failures[0]);
  const auto mail = mail_of(report);
  EXPECT_EQ(mail.find("\r\nBcc:"), mail.npos);
  EXPECT_NE(mail.find("81 more kinds of failure"), mail.npos);
  std::size_t line = 0;
  for (std::size_t i = 0; i < mail.size(); ++i) {
    const auto octet = static_cast<unsigned char>(mail[i]);
    ASSERT_TRUE(octet == '\r' || octet == '\n' || (octet >= 0x20 && octet < 0x7f)) << i;
    ASSERT_EQ(mail[i] == '\n', i > 0 && mail[i - 1] == '\r') << i;
    line = octet == '\n' ? 0 : line + 1;
    ASSERT_LE(line, 999U);
  }
}

TEST(ReportMail, IsTheSameOnEveryTry) { EXPECT_EQ(mail_of(sample_of_mail()), mail_of(sample_of_mail())); }

TEST(ReportMail, BelongsToTheDomainOfTheContact) {
  EXPECT_EQ(submitter_of("\"a@b\"@relay.example"), "relay.example");
  EXPECT_EQ(submitter_of("nobody"), "");
}

TEST(Gzip, GivesBackWhatItTook) {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += std::to_string(i * 7919);
  for (const auto& value : {std::string(), std::string("x"), text}) {
    const auto packed = gzip(value);
    EXPECT_TRUE(looks_like_gzip(packed));
    EXPECT_EQ(*gunzip(packed, value.size()), value);
  }
  EXPECT_EQ(*gunzip(gzip("one") + gzip("two"), 100), "onetwo");
}

TEST(Gzip, StopsABombAtItsBound) {
  const auto bomb = gzip(std::string(50 << 20, '\0'));
  EXPECT_LT(bomb.size(), 100'000U);
  const auto result = gunzip(bomb, 1 << 20);
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().is(BaseError::too_long));
}

TEST(Gzip, RefusesWhatIsCutOffOrDamaged) {
  const auto packed = gzip("some text that is long enough");
  for (std::size_t size = 0; size < packed.size(); ++size) {
    EXPECT_FALSE(gunzip(packed.substr(0, size), 1000)) << size;
  }
  auto damaged = packed;
  damaged[damaged.size() - 6] = static_cast<char>(damaged[damaged.size() - 6] ^ 1);  // of the checksum
  EXPECT_FALSE(gunzip(damaged, 1000));
  EXPECT_FALSE(gunzip(packed + "garbage", 1000));
}

}  // namespace
}  // namespace holdfast
