// How report mails end: noted, also over a crash, and a bounce suppresses the address.
#include <gmock/gmock.h>

#include "tests/tlsrpt/reporter_fixture.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

TEST_F(ReporterTest, LearnsAfterACrashHowAMailEnded) {
  record("good.test");
  ask_for_reports("good.test", "mailto:r@good.test");
  pass_midnight();
  EXPECT_THAT(process_->status(), HasSubstr("\"state\":\"queued\""));
  restart();  // before the end was told
  process_->queued.failing = true;
  process_->look();
  EXPECT_THAT(process_->status(), HasSubstr("\"state\":\"queued\""));
  process_->queued.failing = false;
  process_->queued.held->ended = RecipientEnd::How::delivered;
  pass(1min);
  EXPECT_THAT(process_->status(), HasSubstr("\"state\":\"sent\""));
}

TEST_F(ReporterTest, SuppressesAnAddressWhoseBounceFellIntoACrash) {
  record("bad.test");
  ask_for_reports("bad.test", "mailto:r@bad.test");
  pass_midnight();
  restart();
  process_->queued.held->ended = RecipientEnd::How::bounced;
  process_->queued.held->reason = "550 5.1.1 no such user";
  pass(1min);
  EXPECT_THAT(process_->status(), HasSubstr("\"state\":\"bounced\""));
  EXPECT_THAT(process_->status(), HasSubstr("\"kind\":\"suppressed\""));
}

TEST_F(ReporterTest, SuppressesABouncingAddressForAWeek) {
  record("a.test");
  for (int day = 1; day <= 9; ++day)
    record("a.test", ResultType::success, kReportDay + std::chrono::days(day));
  ask_for_reports("a.test", "mailto:r@a.test");
  pass_midnight();
  ASSERT_EQ(queue_.mails.size(), 1u);
  RecipientEnd end;
  end.origin = "tlsrpt";
  end.idempotency_key = queue_.mails[0].envelope.idempotency_key;
  end.recipient = "r@a.test";
  end.how = RecipientEnd::How::bounced;
  end.reason = "550 5.1.1 nobody here";
  process_->ends.recipient_ended(end);
  settle(process_->context);
  EXPECT_THAT(process_->status(), HasSubstr("\"state\":\"bounced\""));
  EXPECT_THAT(process_->status(), HasSubstr("\"kind\":\"suppressed\",\"address\":\"r@a.test\""));
  EXPECT_EQ(metrics_.count("tlsrpt_reports_total{method=mailto,result=bounced}"), 1u);
  clock_.set_wall(kReportDay + 7 * 24h + 10min);
  process_->look();
  EXPECT_EQ(queue_.mails.size(), 1u);
  EXPECT_THAT(process_->status(), HasSubstr("suppressed, since mail to it bounced: 550 5.1.1 nobody here"));
  clock_.set_wall(kReportDay + 9 * 24h + 10min);
  process_->look();
  EXPECT_EQ(queue_.mails.size(), 3u);  // of the two days that ended since
}

TEST_F(ReporterTest, NotesThatAMailArrived) {
  record("a.test");
  ask_for_reports("a.test", "mailto:r@a.test");
  pass_midnight();
  EXPECT_THAT(process_->status(), HasSubstr("\"state\":\"queued\""));
  RecipientEnd end;
  end.origin = "submission";
  end.idempotency_key = queue_.mails.at(0).envelope.idempotency_key;
  end.how = RecipientEnd::How::bounced;
  process_->ends.recipient_ended(end);  // of somebody else's mail
  settle(process_->context);
  EXPECT_THAT(process_->status(), HasSubstr("\"state\":\"queued\""));
  end.origin = "tlsrpt";
  end.how = RecipientEnd::How::delivered;
  process_->ends.recipient_ended(end);
  settle(process_->context);
  EXPECT_THAT(process_->status(), HasSubstr("\"state\":\"sent\""));
}

}  // namespace
}  // namespace holdfast
