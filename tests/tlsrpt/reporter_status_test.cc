// What `holdfast tlsrpt status` tells.
#include <gmock/gmock.h>

#include "tests/tlsrpt/reporter_fixture.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

TEST_F(ReporterTest, OddBytesOfAReceiverReachStatusAsText) {
  record("a.test");
  ask_for_reports("a.test", "mailto:r@a.test");
  pass_midnight();
  RecipientEnd end;
  end.origin = "tlsrpt";
  end.idempotency_key = queue_.mails.at(0).envelope.idempotency_key;
  end.recipient = "r@a.test";
  end.how = RecipientEnd::How::bounced;
  end.reason = "mx.a.test: 550 caf\xe9 \"\r\n\x1b[2Jgone";
  process_->ends.recipient_ended(end);
  settle(process_->context);
  const auto status = process_->status();
  EXPECT_THAT(status, HasSubstr("\"state\":\"bounced\""));
  EXPECT_EQ(std::count(status.begin(), status.end(), '\n'), 3);  // key, address, report: a line each
  EXPECT_THAT(status, testing::Not(testing::AnyOf(HasSubstr("\x1b"), HasSubstr("\r"))));
}

TEST_F(ReporterTest, TellsOfDomainsThatAskForNothingOrForNothingUsable) {
  record("none.test");
  record("odd.test");
  record("two.test");
  ask_for_reports("odd.test", "gopher://odd.test");
  ask_for_reports("two.test", "mailto:r@two.test");
  dns_.txt("_smtp._tls.two.test", "v=TLSRPTv1; rua=mailto:s@two.test");
  pass_midnight();
  EXPECT_TRUE(queue_.mails.empty());
  const auto status = process_->status();
  EXPECT_THAT(status, HasSubstr("the domain asks for no reports"));
  EXPECT_THAT(status, HasSubstr("the record names no usable target"));
  EXPECT_THAT(status, HasSubstr("several records"));
  // Who asked and cannot be served is told of without being asked for; who wants nothing is not.
  const auto news = process_->status(false);
  EXPECT_THAT(news, testing::Not(HasSubstr("none.test")));
  EXPECT_THAT(news, HasSubstr("the record names no usable target"));
  EXPECT_THAT(news, HasSubstr("several records"));
}

TEST_F(ReporterTest, TellsOfADayThatWasGivenUpForDnsWithoutBeingAsked) {
  settings_.settings.tlsrpt.retry_for = 2h;
  record("a.test");
  dns_.fail("_smtp._tls.a.test", RecordType::txt, DnsStatus::server_failure);
  pass_midnight();
  pass(5h);
  EXPECT_THAT(process_->status(false), HasSubstr("given up: _smtp._tls.a.test"));
}

TEST_F(ReporterTest, TellsWhatTheReceiverOfAQueuedMailSays) {
  record("a.test");
  ask_for_reports("a.test", "mailto:r@a.test");
  pass_midnight();
  const auto target = [this] {
    const auto status = process_->status(false);
    return status.substr(status.find("\"targets\""));
  };
  EXPECT_THAT(target(), testing::Not(HasSubstr("tried")));  // the queue has just taken it
  QueuedMailState waits;
  waits.attempts = 3;
  waits.next = kReportDay + 36h;
  waits.reason = "450 4.2.0 mailbox busy";
  process_->queued.held = waits;
  EXPECT_THAT(target(), HasSubstr("\"state\":\"queued\""));
  EXPECT_THAT(target(), HasSubstr("tried 3 times: 450 4.2.0 mailbox busy"));
  EXPECT_THAT(target(), HasSubstr("\"next\":\"2026-03-15T12:00:00Z\""));
  process_->queued.held.reset();
  EXPECT_THAT(target(), HasSubstr("and gone from there"));
  process_->queued.failing = true;
  EXPECT_THAT(target(), HasSubstr("the disk is gone"));
}

}  // namespace
}  // namespace holdfast
