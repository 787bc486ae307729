// Report targets that take a connection and never answer: what they cost others.
#include <gmock/gmock.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "tests/tlsrpt/reporter_fixture.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

class ReporterHangTest : public ReporterTest {
 protected:
  // A look that goes on while the test does.
  void look_in_background() {
    const auto look = [](Reporter& reporter) -> asio::awaitable<void> { co_await reporter.look(); };
    asio::co_spawn(process_->context, look(process_->reporter), asio::detached);
    settle(process_->context);
  }
  void let_go() {
    web_.hanging.clear();
    web_.released.notify();
    settle(process_->context);
  }
  std::vector<std::string> asked() const {
    std::vector<std::string> hosts;
    for (const auto& request : web_.requests) hosts.push_back(request.url.host.text());
    return hosts;
  }
};

TEST_F(ReporterHangTest, TargetsOfAReportAreTriedBesideEachOther) {
  record("a.test");
  ask_for_reports("a.test",
                  "https://hang1.a.test/,https://hang2.a.test/,https://sound.a.test/,mailto:r@a.test");
  web_.hanging = {"hang1.a.test", "hang2.a.test"};
  clock_.set_wall(kReportDay + std::chrono::days(1) + std::chrono::hours(5));
  look_in_background();
  EXPECT_THAT(asked(), testing::UnorderedElementsAre("hang1.a.test", "hang2.a.test", "sound.a.test"));
  EXPECT_THAT(recipients(), ElementsAre("r@a.test"));
  EXPECT_EQ(log_.events("tlsrpt_sent").size(), 2u);  // told, and on disk, before the others end
  EXPECT_THAT(process_->status(), HasSubstr("\"state\":\"sent\""));
  let_go();
  EXPECT_EQ(log_.events("tlsrpt_sent").size(), 4u);
  EXPECT_EQ(asked().size(), 3u);
}

TEST_F(ReporterHangTest, AReportThatHangsDoesNotDelayTheLookAtOthers) {
  record("hang.test");
  ask_for_reports("hang.test", "https://hang.test/");
  web_.hanging = {"hang.test"};
  clock_.set_wall(kReportDay + std::chrono::days(1) + std::chrono::hours(5));
  look_in_background();
  ASSERT_THAT(asked(), ElementsAre("hang.test"));
  record("sound.test", ResultType::success, kReportDay + std::chrono::days(1));
  ask_for_reports("sound.test", "https://sound.test/");
  clock_.set_wall(kReportDay + std::chrono::days(2) + std::chrono::hours(5));
  look_in_background();
  EXPECT_THAT(asked(), ElementsAre("hang.test", "sound.test"));  // and the one that hangs is not asked twice
  EXPECT_EQ(log_.events("tlsrpt_sent").size(), 1u);
  let_go();
  EXPECT_EQ(log_.events("tlsrpt_sent").size(), 2u);
  EXPECT_EQ(asked().size(), 2u);
}

TEST_F(ReporterHangTest, StopsWhileReportsHangAndOthersWait) {
  for (int i = 0; i < 40; ++i) {
    const std::string name = "hang" + std::to_string(i) + ".test";
    record(name);
    ask_for_reports(name, "https://" + name + "/");
    web_.hanging.insert(name);
  }
  clock_.set_wall(kReportDay + std::chrono::days(1) + std::chrono::hours(5));
  process_->reporter.start();
  settle(process_->context);
  EXPECT_LT(asked().size(), 40u);  // a bound on how many are on their way at once
  run(process_->context, process_->reporter.stop());
  restart();
  web_.hanging.clear();
  process_->look();
  for (int i = 0; i < 40; ++i) EXPECT_THAT(asked(), Contains("hang" + std::to_string(i) + ".test"));
  EXPECT_EQ(log_.events("tlsrpt_sent").size(), 40u);
}

}  // namespace
}  // namespace holdfast
