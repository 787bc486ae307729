#include "tlsrpt/received_report.h"

#include <gtest/gtest.h>

#include "smtp/base/base_error.h"
#include "smtp/wire/base64.h"
#include "tlsrpt/gzip.h"
#include "tlsrpt/outcome.h"
#include "tlsrpt/report_summary.h"

namespace holdfast {
namespace {

// RFC 8460 appendix B, shortened.
constexpr const char* kByTheBook = R"({
  "organization-name": "Company-X",
  "date-range": {"start-datetime": "2026-04-01T00:00:00Z", "end-datetime": "2026-04-01T23:59:59Z"},
  "contact-info": "sts-reporting@company-x.example",
  "report-id": "5065427c-23d3-47ca-b6e0-946ea0e8c4be",
  "policies": [{
    "policy": {"policy-type": "sts", "policy-string": ["version: STSv1", "mode: testing", "mx: *.mail.company-y.example"],
               "policy-domain": "company-y.example", "mx-host": ["*.mail.company-y.example"]},
    "summary": {"total-successful-session-count": 5326, "total-failure-session-count": 303},
    "failure-details": [
      {"result-type": "certificate-expired", "sending-mta-ip": "2001:db8:abcd:0012::1",
       "receiving-mx-hostname": "mx1.mail.company-y.example", "failed-session-count": 100},
      {"result-type": "starttls-not-supported", "sending-mta-ip": "2001:db8:abcd:0013::1",
       "receiving-mx-hostname": "mx2.mail.company-y.example", "receiving-ip": "203.0.113.56", "failed-session-count": 200,
       "additional-information": "https://reports.company-x.example/report_info"}]}]})";

ReceivedReport read(std::string_view octets) {
  auto report = read_received_report(octets);
  EXPECT_TRUE(report) << report.error().text();
  return report ? *report : ReceivedReport();
}

std::string refusal(std::string_view octets) {
  const auto report = read_received_report(octets);
  return report ? "" : report.error().text();
}

TEST(ReceivedReport, ReadsTheExampleOfTheRfc) {
  const auto report = read(kByTheBook);
  EXPECT_EQ(report.organization, "Company-X");
  EXPECT_EQ(report.day(), "2026-04-01");
  ASSERT_EQ(report.policies.size(), 1U);
  EXPECT_EQ(report.policies[0].successful, 5326U);
  EXPECT_EQ(report.policies[0].text.size(), 3U);
  EXPECT_EQ(report.policies[0].failures.at(1).sessions, 200U);
}

TEST(ReceivedReport, ReadsGzipAndMail) {
  EXPECT_EQ(read(gzip(kByTheBook)).organization, "Company-X");
  const std::string mail =
      "Return-Path: <>\r\nContent-Type: multipart/report;\r\n report-type=tlsrpt; boundary=\"=_b\"\r\n\r\n"
      "preamble\r\n--=_b\r\nContent-Type: text/plain\r\n\r\n{not this}\r\n--=_b\r\n"
      "Content-Type: application/tlsrpt+gzip; name=x\r\nContent-Transfer-Encoding: Base64\r\n\r\n" +
      base64_encode(gzip(kByTheBook)) + "\r\n--=_b--\r\n";
  EXPECT_EQ(read(mail).organization, "Company-X");
  std::string unix_ends;
  for (const char c : mail) {
    if (c != '\r') unix_ends += c;
  }
  EXPECT_EQ(read("From reports Sat Nov 21\n" + unix_ends).organization, "Company-X");
}

TEST(ReceivedReport, FindsAnAttachmentByItsNameAlsoInAForwardedMail) {
  const std::string inner =
      "Subject: report\n"
      "Content-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n"
      "Content-Disposition: attachment; filename=\"a!b!1!2.json.gz\"\n\n" +
      base64_encode(gzip(kByTheBook));
  EXPECT_EQ(read(inner).organization, "Company-X");
  EXPECT_EQ(read("Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: message/rfc822\n\n" +
                 inner + "\n--x--\n")
                .organization,
            "Company-X");
}

std::string with_parts(const std::string& parts) {
  return "Content-Type: multipart/report; boundary=b\r\n\r\n" + parts;
}

TEST(ReceivedReport, ABinaryPartEndsBeforeTheLineEndOfItsDelimiter) {
  EXPECT_EQ(
      read(with_parts(
               "--b\r\nContent-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: binary\r\n\r\n" +
               gzip(kByTheBook) + "\r\n--b--\r\n"))
          .organization,
      "Company-X");
}

TEST(ReceivedReport, TakesBase64WithoutItsPaddingAndAMailThatWasCutOffBehindIt) {
  std::string text = kByTheBook;
  while (!base64_encode(gzip(text)).ends_with('=')) text += ' ';
  std::string digits = base64_encode(gzip(text));
  std::erase(digits, '=');
  EXPECT_EQ(
      read(with_parts(
               "--b\r\nContent-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
               digits))
          .organization,
      "Company-X");
}

TEST(ReceivedReport, IsFoundByAFileNameWithQuotesInIt) {
  EXPECT_EQ(read("Content-Type: application/octet-stream; name=other\nContent-Disposition: attachment; "
                 "size=1; filename=\"a \\\"day\\\".json\"\n\n" +
                 std::string(kByTheBook))
                .organization,
            "Company-X");
}

TEST(ReceivedReport, IsLookedForInTheFirstHundredPartsOnly) {
  const std::string text = "--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n";
  const std::string report =
      "--b\r\nContent-Type: application/tlsrpt+json\r\n\r\n" + std::string(kByTheBook) + "\r\n--b--\r\n";
  std::string some, many;
  for (int i = 0; i < 90; ++i) some += text;
  for (int i = 0; i < 200; ++i) many += text;
  EXPECT_EQ(read(with_parts(some + report)).organization, "Company-X");
  EXPECT_NE(refusal(with_parts(many + report)).find("neither JSON nor gzip"), std::string::npos);
}

TEST(ReceivedReport, AMultipartMailWithoutABoundaryHoldsNone) {
  for (const std::string parameter : {"", "; boundary", "; boundary=", "; boundary=\"\""}) {
    const std::string mail = "Content-Type: multipart/report" + parameter +
                             "\n\n--\nContent-Type: application/tlsrpt+json\n\n" + kByTheBook + "\n----\n";
    EXPECT_NE(refusal(mail), "") << parameter;
  }
}

TEST(ReceivedReport, ReadsQuotedPrintable) {
  const std::string mail =
      "Content-Type: application/tlsrpt+json\nContent-Transfer-Encoding: quoted-printable\n\n"
      "{\"organization-name\"=3A \"Comp=\nany=C3=BC\", \"policies\"=3A []}";
  EXPECT_EQ(read(mail).organization, "Companyü");
}

TEST(ReceivedReport, TakesTheShapesThatSendersUse) {
  // Arrays as strings, counts in quotes, other casing, a byte order mark, no summary, no date, one policy
  // bare.
  const auto report = read(
      "\xef\xbb\xbf\n"
      R"({"Organization_Name": "X", "policies": {"policy": {"Policy-Type": "STS",
    "policy-string": "version: STSv1", "mx-host": "mx.a.example", "policy-domain": "A.example"},
    "summary": {"total-successful-session-count": "7"},
    "failure-details": {"result-type": "Validation-Failure", "failed-session-count": 2.0, "receiving-mx-hostname": null}}})");
  EXPECT_EQ(report.organization, "X");
  ASSERT_EQ(report.policies.size(), 1U);
  const auto& policy = report.policies[0];
  EXPECT_EQ(policy.type, "sts");
  EXPECT_EQ(policy.domain, "a.example");
  EXPECT_EQ(policy.text, std::vector<std::string>{"version: STSv1"});
  EXPECT_EQ(policy.mx, std::vector<std::string>{"mx.a.example"});
  EXPECT_EQ(policy.successful, 7U);
  EXPECT_EQ(policy.failed, 2U);
  EXPECT_EQ(policy.failures.at(0).result, "validation-failure");
  EXPECT_EQ(read("[" + std::string(kByTheBook) + "]").organization, "Company-X");
  EXPECT_EQ(read(R"({"policies": [{"policy-type": "tlsa", "total-failure-session-count": 1}]})")
                .policies.at(0)
                .failed,
            1U);
  EXPECT_TRUE(read(R"({"policies": []})").policies.empty());
}

TEST(ReceivedReport, RefusesWhatIsNoneInOneClearLine) {
  EXPECT_NE(refusal("").find("empty"), std::string::npos);
  EXPECT_NE(refusal("hello").find("neither JSON nor gzip"), std::string::npos);
  EXPECT_NE(refusal("{\"policies\": [").find("not JSON"), std::string::npos);
  EXPECT_NE(refusal("{}").find("no policies"), std::string::npos);
  EXPECT_NE(refusal("[1, 2]").find("not an object"), std::string::npos);
  EXPECT_NE(refusal("\x1f\x8b\x08garbage").find("gzip"), std::string::npos);
  EXPECT_NE(refusal(R"({"policies": [{"policy": {}}]})").find("policy-type"), std::string::npos);
  for (const char* count : {"-1", "1e30", "\"many\"", "1.5", "{}"}) {
    const std::string text =
        std::string(
            R"({"policies": [{"policy": {"policy-type": "sts"}, "summary": {"total-failure-session-count": )") +
        count + "}}]}";
    EXPECT_NE(refusal(text).find("total-failure-session-count"), std::string::npos) << count;
  }
}

TEST(ReceivedReport, StopsBombs) {
  EXPECT_TRUE(
      read_received_report(gzip(std::string(kMaxReceivedReport + 1, ' '))).error().is(BaseError::too_long));
  EXPECT_NE(refusal(std::string(1000, '[')), "");
  std::string nested;
  for (int i = 0; i < 50; ++i)
    nested += "Content-Type: multipart/mixed; boundary=b" + std::to_string(i) + "\n\n--b" +
              std::to_string(i) + "\n";
  EXPECT_NE(refusal(nested), "");
}

TEST(ReportSummary, AddsReportsUpAndSaysWhatToDo) {
  auto other = read(kByTheBook);
  other.organization = "Company-Z";
  other.start = "2026-04-03T00:00:00Z";
  const auto summary = summarise({read(kByTheBook), read(kByTheBook), other});
  EXPECT_EQ(summary.reports, 2U);
  EXPECT_EQ(summary.repeated, 1U);
  ASSERT_EQ(summary.policies.size(), 1U);
  EXPECT_EQ(summary.policies[0].successful, 2 * 5326U);
  ASSERT_EQ(summary.failures.size(), 2U);
  EXPECT_EQ(summary.failures[0].result, "starttls-not-supported");
  EXPECT_EQ(summary.failures[0].sessions, 400U);
  const auto text = summary_text(summary);
  for (const char* part :
       {"company-y.example", "2026-04-01 to 2026-04-03", "Company-X, Company-Z", "mx2.mail.company-y.example",
        "starttls-not-supported: Switch STARTTLS on", "counted once"}) {
    EXPECT_NE(text.find(part), text.npos) << part << "\n" << text;
  }
  const auto json = summary_json(summary);
  EXPECT_NE(json.find(R"("kind":"failure")"), json.npos);
  EXPECT_EQ(std::count(json.begin(), json.end(), '\n'), 5);
}

TEST(ReportSummary, LetsNoReportWriteToTheTerminal) {
  const auto report =
      read(R"({"organization-name": "\u001b[2J\u009b\n", "policies": [{"policy-type": "sts\u0007"}]})");
  const auto text = summary_text(summarise({report}));
  for (const char c : text) EXPECT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= 0x20);
  EXPECT_EQ(text.find("\xc2\x9b"), text.npos);
}

TEST(ReceivedReport, NeverCutsACharacterForItsDay) {
  ReceivedReport report;
  report.start = "2026-11-21T00:00:00Z";
  EXPECT_EQ(report.day(), "2026-11-21");
  report.start = "2026-11-2\xc3\xa9";  // ten octets would end within the character
  EXPECT_EQ(report.day(), "2026-11-2");
  report.start = "";
  EXPECT_EQ(report.day(), "");
}

TEST(ReportSummary, HasAdviceForEveryResultOfTheRfc) {
  const char* unknown = advice_for("no-such-result");
  for (int i = 1; i <= static_cast<int>(ResultType::sts_webpki_invalid); ++i) {
    EXPECT_STRNE(advice_for(name(static_cast<ResultType>(i))), unknown) << i;
  }
}

}  // namespace
}  // namespace holdfast
