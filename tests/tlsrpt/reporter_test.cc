// What the reporter sends, to whom, and where the operator or the domain does not want it. Days, retries, the
// ends of mails, crashes and what operators are told are in the reporter_*_test.cc beside it.
#include <gmock/gmock.h>

#include "tests/tlsrpt/reporter_fixture.h"
#include "tlsrpt/gzip.h"
#include "tlsrpt/received_report.h"
#include "tlsrpt/report_json.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

TEST_F(ReporterTest, SendsNothingWhileTheDayLasts) {
  record("a.test");
  ask_for_reports("a.test", "mailto:r@a.test");
  process_->look();
  clock_.set_wall(kReportDay + 24h +
                  30s);  // sessions of the last second may still be on their way to the ledger
  process_->look();
  EXPECT_TRUE(queue_.mails.empty());
  clock_.set_wall(kReportDay + 24h + 61s);
  process_->look();
  EXPECT_EQ(queue_.mails.size(), 1u);
}

TEST_F(ReporterTest, SendsByMailAndByHttpsOnce) {
  record("a.test");
  record("a.test", ResultType::certificate_expired);
  ask_for_reports("a.test", "mailto:r@a.test,https://reports.a.test/v1");
  pass_midnight();
  pass(30min);
  ASSERT_THAT(recipients(), ElementsAre("r@a.test"));
  const auto& [envelope, content] = queue_.mails[0];
  EXPECT_EQ(envelope.origin, "tlsrpt");
  EXPECT_EQ(envelope.reverse_path.text(), "tls@relay.test");
  EXPECT_EQ(envelope.signing_domain, "relay.test");
  EXPECT_TRUE(envelope.tls.tls_required_no);
  EXPECT_TRUE(envelope.may_say_tls_required_no);
  EXPECT_FALSE(envelope.counts_in_tlsrpt);
  EXPECT_EQ(envelope.recipients[0].dsn.notify, kNotifyNever);
  EXPECT_EQ(envelope.expires, clock_.wall() - 30min + 24h);
  EXPECT_THAT(content, HasSubstr("TLS-Report-Domain: a.test\r\n"));

  ASSERT_EQ(web_.requests.size(), 1u);
  EXPECT_EQ(web_.requests[0].method, "POST");
  EXPECT_EQ(web_.requests[0].content_type, "application/tlsrpt+gzip");
  EXPECT_EQ(web_.requests[0].url.text(), "https://reports.a.test:8443/v1");
  const auto json = gunzip(web_.requests[0].body, 1 << 20).value();
  EXPECT_THAT(json, HasSubstr("\"total-successful-session-count\":3,\"total-failure-session-count\":3"));
  EXPECT_THAT(json, HasSubstr("2026-03-14T00:00:00Z"));
  const auto sent = log_.events("tlsrpt_sent");
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(metrics_.count("tlsrpt_reports_total{method=mailto,result=sent}"), 1u);
  EXPECT_EQ(metrics_.count("tlsrpt_reports_total{method=https,result=sent}"), 1u);
}

TEST_F(ReporterTest, SaysTheSameByMailAsByHttps) {
  auto failed = outcome("a.test", ResultType::validation_failure);
  failed.reason_code = "tls-alert-40";
  failed.receiving_ip = "192.0.2.1";
  failed.additional_information = "handshake failure";
  ASSERT_TRUE(process_->ledger_store->add({{failed, 2}}));
  ask_for_reports("a.test", "mailto:r@a.test,https://reports.a.test/v1");
  pass_midnight();
  const auto json = gunzip(web_.requests.at(0).body, 1 << 20).value();
  auto report = report_from_json(json, kReportDay, domain("a.test"));
  ASSERT_TRUE(report);
  EXPECT_EQ(report_json(*report), json);
  EXPECT_THAT(queue_.mails.at(0).content, HasSubstr("2 x validation-failure at mx.a.test [192.0.2.1]"));
}

TEST_F(ReporterTest, OddBytesOfAPeerSpoilNoReport) {
  auto failed = outcome("a.test", ResultType::validation_failure);
  failed.mx_host = "mx\xe4\"\x7f\n.a.test";
  failed.mx_helo = "\xff\xfe\x01odd";
  failed.additional_information = "caf\xe9\r\nBcc: x";
  failed.policy.type = AppliedPolicy::Type::sts;
  failed.policy.text = {"version: STSv1", "x-note: \xc3("};
  failed.policy.mode = StsMode::enforce;
  ASSERT_TRUE(process_->ledger_store->add({{failed, 2}}));
  ask_for_reports("a.test", "mailto:r@a.test,https://reports.a.test/v1");
  pass_midnight();
  ASSERT_EQ(queue_.mails.size(), 1u);
  const auto json = gunzip(web_.requests.at(0).body, 1 << 20).value();
  EXPECT_TRUE(parse_received_report(json)) << json;
  EXPECT_THAT(json, HasSubstr("odd"));
  EXPECT_THAT(queue_.mails[0].content, testing::Not(HasSubstr("Bcc")));
  EXPECT_THAT(process_->status(), HasSubstr("\"domain\":\"a.test\",\"state\":\"done\""));
}

TEST_F(ReporterTest, ReportsAPolicyOfAHundredMxPatterns) {
  auto failed = outcome("a.test", ResultType::validation_failure);
  failed.policy.type = AppliedPolicy::Type::sts;
  failed.policy.mode = StsMode::enforce;
  std::vector<std::string> text{"version: STSv1", "mode: enforce"}, mx;
  for (int i = 0; i < 100; ++i) {
    mx.push_back("*.mx" + std::to_string(i) + ".a.test");
    text.push_back("mx: " + mx.back());
  }
  text.push_back("max_age: 86400");
  failed.policy.text = text;
  failed.policy.mx = mx;
  ASSERT_TRUE(process_->ledger_store->add({{failed, 2}}));
  ask_for_reports("a.test", "mailto:r@a.test,https://reports.a.test/v1");
  pass_midnight();
  EXPECT_EQ(queue_.mails.size(), 1u);
  const auto json = gunzip(web_.requests.at(0).body, 1 << 20).value();
  const auto report = parse_received_report(json);
  ASSERT_TRUE(report) << json;
  EXPECT_EQ(report->policies.at(0).mx, mx);
  EXPECT_EQ(report->policies.at(0).text, text);
  const auto status = process_->status();
  EXPECT_THAT(status, HasSubstr("\"domain\":\"a.test\",\"state\":\"done\""));
  EXPECT_THAT(status, HasSubstr("\"state\":\"queued\""));
  EXPECT_THAT(status, HasSubstr("\"state\":\"sent\""));
}

TEST_F(ReporterTest, LeavesOutWhatTheOperatorExcluded) {
  settings_.settings.tlsrpt.exclude = {"Out.test"};
  settings_.settings.tlsrpt.only_failures = true;
  for (const char* name : {"out.test", "good.test", "bad.test"}) {
    record(name);
    ask_for_reports(name, std::string("mailto:r@") + name);
  }
  record("bad.test", ResultType::certificate_expired);
  record("out.test", ResultType::certificate_expired);
  pass_midnight();
  EXPECT_THAT(recipients(), ElementsAre("r@bad.test"));
  EXPECT_THAT(process_->status(), HasSubstr("excluded by tlsrpt.exclude"));
  EXPECT_THAT(process_->status(), HasSubstr("nothing failed, and tlsrpt.only_failures is true"));
}

TEST_F(ReporterTest, SendsNoHttpsWhereThatIsSwitchedOff) {
  settings_.settings.tlsrpt.https = false;
  record("a.test");
  record("b.test");
  ask_for_reports("a.test", "mailto:r@a.test,https://reports.a.test/v1");
  ask_for_reports("b.test", "https://reports.b.test/v1");
  pass_midnight();
  EXPECT_TRUE(web_.requests.empty());
  EXPECT_THAT(recipients(), ElementsAre("r@a.test"));
  EXPECT_THAT(process_->status(), HasSubstr("tlsrpt.https is false"));
}

TEST_F(ReporterTest, SendsNothingWhenSwitchedOff) {
  settings_.settings.tlsrpt.enabled = false;
  record("a.test");
  ask_for_reports("a.test", "mailto:r@a.test");
  pass_midnight();
  EXPECT_TRUE(queue_.mails.empty());
  EXPECT_THAT(process_->status(), HasSubstr("tlsrpt.enabled is false"));
}

}  // namespace
}  // namespace holdfast
