// Each day is reported once, whatever the clock does, and erased a while after.
#include <gmock/gmock.h>

#include <set>

#include "tests/tlsrpt/reporter_fixture.h"
#include "tlsrpt/gzip.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

TEST_F(ReporterTest, SendsDaysThatItMissedEachWithItsOwnRange) {
  for (int day = 0; day < 3; ++day)
    record("a.test", ResultType::success, kReportDay + std::chrono::days(day));
  ask_for_reports("a.test", "https://reports.a.test/v1");
  clock_.set_wall(kReportDay + 20 * 24h);
  process_->look();
  ASSERT_EQ(web_.requests.size(), 3u);
  std::set<std::string> days;
  for (const auto& request : web_.requests) {
    const auto json = gunzip(request.body, 1 << 20).value();
    days.insert(json.substr(json.find("start-datetime") + 17, 10));
  }
  EXPECT_EQ(days, (std::set<std::string>{"2026-03-14", "2026-03-15", "2026-03-16"}));
}

// The wall clock is set back over midnight, and the day comes once more.
TEST_F(ReporterTest, ARepeatedDayCountsInTheFirstOpenOneOverARestart) {
  ask_for_reports("a.test", "https://reports.a.test/v1");
  for (const bool restarts : {false, true}) {
    SCOPED_TRACE(restarts ? "restarted" : "running");
    process_.reset();
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directory(folder_);
    web_.requests.clear();
    clock_.set_wall(kReportDay + 23h);
    restart();
    record("a.test");
    pass_midnight();
    ASSERT_EQ(web_.requests.size(), 1u);

    clock_.set_wall(kReportDay + 23h + 30min);
    if (restarts) restart();
    process_->look();
    process_->ledger.record(outcome("a.test", ResultType::success));
    process_->ledger.record(outcome("a.test", ResultType::certificate_expired));
    process_->ledger.record(outcome("late.test", ResultType::success));  // of this domain none has been made
    EXPECT_TRUE(run(process_->context, process_->ledger.flush()));
    const auto sessions = [&](std::chrono::sys_days day, const std::string& name) {
      std::uint64_t sum = 0;
      for (const auto& row : process_->ledger_store->rows(day, domain(name)).value()) sum += row.sessions;
      return sum;
    };
    EXPECT_EQ(sessions(kReportDay, "a.test"), 3u);  // as its report says
    EXPECT_EQ(sessions(kReportDay + std::chrono::days(1), "a.test"), 2u);
    EXPECT_EQ(sessions(kReportDay, "late.test"), 1u);

    pass_midnight();
    EXPECT_EQ(web_.requests.size(), 1u);  // the day's report is not sent again
    clock_.set_wall(kReportDay + 2 * 24h + 10min);
    process_->look();
    ASSERT_EQ(web_.requests.size(), 2u);
    const auto json = gunzip(web_.requests[1].body, 1 << 20).value();
    EXPECT_THAT(json, HasSubstr("2026-03-15T00:00:00Z"));
    EXPECT_THAT(json, HasSubstr("\"total-successful-session-count\":1,\"total-failure-session-count\":1"));
    EXPECT_THAT(process_->status(), HasSubstr("\"day\":\"2026-03-14\",\"domain\":\"late.test\""));
  }
}

TEST_F(ReporterTest, SpreadsReportsOverTheJitter) {
  settings_.settings.tlsrpt.jitter = 4h;
  for (int i = 0; i < 20; ++i) {
    const auto name = "d" + std::to_string(i) + ".test";
    record(name);
    ask_for_reports(name, "mailto:r@" + name);
  }
  pass_midnight();
  const auto at_once = queue_.mails.size();
  EXPECT_LT(at_once, 10u);
  pass(2h);
  EXPECT_GT(queue_.mails.size(), at_once);
  EXPECT_LT(queue_.mails.size(), 20u);
  pass(2h);
  EXPECT_EQ(queue_.mails.size(), 20u);
}

TEST_F(ReporterTest, SendsAtOnceWhenTheOperatorSaysSo) {
  settings_.settings.tlsrpt.jitter = 4h;
  record("a.test");
  ask_for_reports("a.test", "mailto:r@a.test");
  const auto too_early = run(process_->context, process_->reporter.send(kReportDay));
  ASSERT_FALSE(too_early);
  EXPECT_TRUE(too_early.error().is(BaseError::not_permitted));
  clock_.set_wall(kReportDay + 24h + 1s);
  EXPECT_EQ(run(process_->context, process_->reporter.send(kReportDay)).value(), 1u);
  settle(process_->context);
  EXPECT_EQ(queue_.mails.size(), 1u);
  EXPECT_EQ(run(process_->context, process_->reporter.send(kReportDay)).value(), 0u);  // never twice
  settle(process_->context);
  EXPECT_EQ(queue_.mails.size(), 1u);
}

TEST_F(ReporterTest, ErasesADayOnceItsReportHasBeenGoneForAWhile) {
  record("a.test");
  record("none.test");
  ask_for_reports("a.test", "mailto:r@a.test");
  pass_midnight();
  EXPECT_FALSE(process_->ledger_store->rows(kReportDay, DomainName()).value().empty());
  clock_.set_wall(kReportDay + 6 * 24h);
  process_->look();
  EXPECT_TRUE(process_->ledger_store->rows(kReportDay, DomainName()).value().empty());
  EXPECT_THAT(process_->status(), HasSubstr("a.test"));
  clock_.set_wall(kReportDay + 20 * 24h);
  process_->look();
  EXPECT_THAT(process_->status(), testing::Not(HasSubstr("a.test\"")));
  EXPECT_EQ(queue_.mails.size(), 1u);
}

TEST_F(ReporterTest, KeepsADayWhoseReportStillWaits) {
  settings_.settings.tlsrpt.retry_for = 7 * 24h;
  record("a.test");
  ask_for_reports("a.test", "https://reports.a.test/v1");
  web_.status = 500;
  pass_midnight();
  clock_.set_wall(kReportDay + 6 * 24h);
  process_->look();
  EXPECT_FALSE(process_->ledger_store->rows(kReportDay, DomainName()).value().empty());
}

}  // namespace
}  // namespace holdfast
