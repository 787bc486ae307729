// The reporter killed at any step, and a database that fails.
#include <gmock/gmock.h>

#include <set>

#include "tests/tlsrpt/reporter_fixture.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

// The heart of it: killed before and after every single change of a state, and started again.
TEST_F(ReporterTest, KilledAtAnyStepItNeitherLosesNorRepeatsAReport) {
  ask_for_reports("a.test", "mailto:r@a.test,https://reports.a.test/v1");
  ask_for_reports("b.test", "mailto:r@b.test");
  dns_.fail("_smtp._tls.b.test", RecordType::txt, DnsStatus::timed_out);  // at first
  int steps = 0;
  for (int lives = 1; lives < 60; ++lives) {
    for (const bool after : {false, true}) {
      SCOPED_TRACE("killed " + std::string(after ? "after" : "before") + " change " + std::to_string(lives));
      process_.reset();
      std::filesystem::remove_all(folder_);
      std::filesystem::create_directory(folder_);
      queue_.mails.clear();
      queue_.keys.clear();
      web_.requests.clear();
      clock_.set_wall(kReportDay + 12h);
      dns_.fail("_smtp._tls.b.test", RecordType::txt, DnsStatus::timed_out);
      restart(lives, after);
      record("a.test");
      record("b.test");
      record("none.test");
      pass_midnight();
      dns_.heal("_smtp._tls.b.test");
      pass(5min);
      const bool killed = process_->store.dead();
      steps = std::max(steps, process_->store.changes());
      restart();
      pass(70min);
      EXPECT_THAT(recipients(), testing::UnorderedElementsAre("r@a.test", "r@b.test"));
      // A POST whose answer could not be noted any more is the one thing that is repeated, under the same id.
      std::set<std::string> bodies;
      for (const auto& request : web_.requests) bodies.insert(request.body);
      EXPECT_EQ(bodies.size(), 1u);
      EXPECT_LE(web_.requests.size(), killed ? 2u : 1u);
      if (!killed) {
        EXPECT_GT(lives, 8);
        return;
      }
    }
  }
  FAIL() << "it never ran through: " << steps;
}

TEST_F(ReporterTest, AMailWhoseAcceptanceWasNotHeardIsNotSentAgain) {
  record("a.test");
  ask_for_reports("a.test", "mailto:r@a.test");
  queue_.lose_answers = 1;
  pass_midnight();
  restart();
  pass(10min);
  EXPECT_EQ(queue_.mails.size(), 1u);
  EXPECT_EQ(queue_.calls, 2);
  EXPECT_THAT(process_->status(), HasSubstr("\"state\":\"queued\""));
}

TEST_F(ReporterTest, AFailingDatabaseIsToldOnceAndReportsFollowLater) {
  record("a.test");
  ask_for_reports("a.test", "mailto:r@a.test");
  restart(1, false);
  pass_midnight();
  pass(3min);
  EXPECT_TRUE(log_.holds("TLS reports wait: "));
  std::size_t told = 0;
  for (const auto& line : log_.lines())
    told += line.text.find("TLS reports wait: ") != std::string::npos ? 1 : 0;
  EXPECT_EQ(told, 1u);
}

}  // namespace
}  // namespace holdfast
