// What cannot be sent at once: tried again until retry_for is over, or given up where there is no hope.
#include <gmock/gmock.h>

#include "tests/tlsrpt/reporter_fixture.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

TEST_F(ReporterTest, TriesAnUnreachableTargetAgainUntilRetryForIsOver) {
  settings_.settings.tlsrpt.retry_for = 2h;
  record("a.test");
  ask_for_reports("a.test", "https://reports.a.test/v1");
  web_.unreachable.insert("reports.a.test");
  pass_midnight();
  EXPECT_THAT(process_->status(), HasSubstr("\"state\":\"waiting\",\"attempts\":1"));
  EXPECT_THAT(process_->status(), HasSubstr("connection refused"));
  pass(4h);
  EXPECT_GT(web_.requests.size(), 3u);
  EXPECT_THAT(process_->status(), HasSubstr("\"state\":\"given-up\""));
  EXPECT_THAT(process_->status(), HasSubstr("connection refused"));
}

TEST_F(ReporterTest, ADnsFailureDelaysAReportAndLosesNone) {
  record("a.test");
  ask_for_reports("a.test", "mailto:r@a.test");
  dns_.fail("_smtp._tls.a.test", RecordType::txt, DnsStatus::server_failure);
  pass_midnight();
  EXPECT_TRUE(queue_.mails.empty());
  EXPECT_THAT(process_->status(), HasSubstr("\"state\":\"frozen\""));
  dns_.heal("_smtp._tls.a.test");
  pass(5min);
  EXPECT_THAT(recipients(), ElementsAre("r@a.test"));
}

TEST_F(ReporterTest, CountsOnly2xxAsSent) {
  record("a.test");
  ask_for_reports("a.test", "https://reports.a.test/v1");
  for (const int status : {302, 404, 500}) {
    web_.status = status;
    status == 302 ? pass_midnight() : pass(61min);
    EXPECT_TRUE(log_.events("tlsrpt_sent").empty()) << status;
    EXPECT_THAT(process_->status(), HasSubstr("HTTP status " + std::to_string(status)));
  }
  web_.status = 200;
  pass(61min);
  EXPECT_EQ(log_.events("tlsrpt_sent").size(), 1u);
  const auto requests = web_.requests.size();
  pass(120min);
  EXPECT_EQ(web_.requests.size(), requests);
}

TEST_F(ReporterTest, GivesUpAfterRetryForAndTheOtherTargetsDoNotSuffer) {
  settings_.settings.tlsrpt.retry_for = 2h;
  record("a.test");
  ask_for_reports("a.test", "https://reports.a.test/v1,mailto:r@a.test");
  web_.status = 503;
  pass_midnight();
  pass(4h);
  EXPECT_THAT(recipients(), ElementsAre("r@a.test"));
  EXPECT_EQ(metrics_.count("tlsrpt_reports_total{method=https,result=given_up}"), 1u);
  EXPECT_THAT(process_->status(), HasSubstr("\"state\":\"given-up\""));
}

TEST_F(ReporterTest, NeverTriesATargetAtAForbiddenAddressAgain) {
  record("a.test");
  ask_for_reports("a.test", "https://inside.a.test/v1");
  web_.forbidden.insert("inside.a.test");
  pass_midnight();
  pass(120min);
  EXPECT_EQ(web_.requests.size(), 1u);
  EXPECT_THAT(process_->status(), HasSubstr("not a global address"));
}

TEST_F(ReporterTest, MailWaitsLoudlyForItsKeyAndHttpsGoes) {
  dns_.remove(kKeyName, RecordType::txt);
  record("a.test");
  ask_for_reports("a.test", "mailto:r@a.test,https://reports.a.test/v1");
  pass_midnight();
  EXPECT_TRUE(queue_.mails.empty());
  EXPECT_EQ(web_.requests.size(), 1u);
  EXPECT_TRUE(log_.holds("wait until their signing key is found in DNS"));
  EXPECT_THAT(process_->status(), HasSubstr("mail waits for its signing key: there is no TXT record at"));
  EXPECT_THAT(process_->status(), HasSubstr("\"found\":false"));
  dns_.txt(kKeyName, "v=DKIM1; k=rsa; p=AAAA");
  pass(10min);
  EXPECT_TRUE(queue_.mails.empty());
  EXPECT_THAT(process_->status(), HasSubstr("holds another key"));
  dns_.remove(kKeyName, RecordType::txt);
  dns_.txt(kKeyName, "k=rsa; p= QUJD; v=DKIM1");  // the same, written by another hand
  pass(10min);
  EXPECT_EQ(queue_.mails.size(), 1u);
}

TEST_F(ReporterTest, RetriesAMailThatTheQueueRefused) {
  record("a.test");
  ask_for_reports("a.test", "mailto:r@a.test");
  queue_.refuse = true;
  pass_midnight();
  EXPECT_THAT(process_->status(), HasSubstr("451 4.3.1 no space"));
  queue_.refuse = false;
  pass(5min);
  EXPECT_EQ(queue_.mails.size(), 1u);
}

TEST_F(ReporterTest, ALeaseOfAnotherRelayIsRespectedUntilItRunsOut) {
  record("a.test");
  ask_for_reports("a.test", "mailto:r@a.test");
  ASSERT_TRUE(process_->store.freeze({freeze(kReportDay, domain("a.test"), 0s, clock_.wall())}));
  auto other = open_reporter_store(folder_ / "tlsrpt.db", "other.test").value();
  clock_.set_wall(kReportDay + 24h + 10min);
  ASSERT_TRUE(other->lease(kReportDay, domain("a.test"), clock_.wall(), 10min).value());
  process_->look();
  EXPECT_TRUE(queue_.mails.empty());
  pass(12min);
  EXPECT_EQ(queue_.mails.size(), 1u);
}

}  // namespace
}  // namespace holdfast
