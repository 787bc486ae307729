#include "tlsrpt/reporter_state.h"
#include "tests/fakes/domain.h"

#include <gtest/gtest.h>

#include <set>

namespace holdfast {
namespace {

using namespace std::chrono_literals;

const std::chrono::sys_days kStateDay = std::chrono::year(2026) / 3 / 14;
const WallTime kMidnight = kStateDay + std::chrono::days(1);
const WallTime kNow = kMidnight + 3h;

ReportTarget mailto(std::string address) { return {ReportTarget::Kind::mailto, std::move(address)}; }
ReportTarget https(std::string url) { return {ReportTarget::Kind::https, std::move(url)}; }

TargetLookup found(std::vector<ReportTarget> targets) {
  TargetLookup lookup;
  lookup.targets = std::move(targets);
  return lookup;
}

TargetLookup failed(bool temporary, std::string why) {
  TargetLookup lookup;
  lookup.temporary = temporary;
  lookup.unknown = std::move(why);
  return lookup;
}

ReportProgress built_for(std::vector<ReportTarget> targets) {
  auto report = freeze(kStateDay, domain("a.test"), 0s, kNow);
  EXPECT_TRUE(looked_up(report, found(targets), kNow, 24h));
  built(report, "id", "{}", targets, kNow);
  return report;
}

TEST(ReporterState, SpreadsDomainsOverTheJitterTheSameWayEveryDay) {
  std::set<std::int64_t> hours;
  for (int i = 0; i < 200; ++i) {
    const auto name = domain("d" + std::to_string(i) + ".test");
    const auto at = spread(name, 4h);
    EXPECT_GE(at, 0s);
    EXPECT_LT(at, 4h);
    EXPECT_EQ(at, spread(name, 4h));
    hours.insert(std::chrono::floor<std::chrono::hours>(at).count());
  }
  EXPECT_EQ(hours.size(), 4u);
  EXPECT_EQ(spread(domain("d.test"), 0s), 0s);
}

TEST(ReporterState, SpreadsAMissedDayFromTheReturnOn) {
  const auto name = domain("a.test");
  EXPECT_EQ(freeze(kStateDay, name, 4h, kMidnight + 1min).next,
            kMidnight + std::chrono::floor<std::chrono::microseconds>(spread(name, 4h)));
  const WallTime back = kMidnight + 10 * 24h;
  EXPECT_GE(freeze(kStateDay, name, 4h, back).next, back);
}

TEST(ReporterState, EndsWithoutATargetWhenTheDomainAsksForNothing) {
  auto report = freeze(kStateDay, domain("a.test"), 0s, kNow);
  EXPECT_FALSE(looked_up(report, found({}), kNow, 24h));
  EXPECT_EQ(report.state, ReportState::done);
  EXPECT_EQ(report.reason, "the domain asks for no reports");
  EXPECT_FALSE(next_step_at(report));
}

TEST(ReporterState, NamesWhyARecordIsOfNoUse) {
  auto report = freeze(kStateDay, domain("a.test"), 0s, kNow);
  EXPECT_FALSE(looked_up(report, failed(false, "the record names no usable target"), kNow, 24h));
  EXPECT_EQ(report.state, ReportState::done);
  EXPECT_EQ(report.reason, "the record names no usable target");
}

TEST(ReporterState, AsksAgainAfterADnsFailureUntilRetryForIsOver) {
  auto report = freeze(kStateDay, domain("a.test"), 0s, kNow);
  WallTime now = kNow;
  int tries = 0;
  while (report.state == ReportState::frozen) {
    ASSERT_LT(++tries, 100);
    looked_up(report, failed(true, "SERVFAIL"), now, 4h);
    if (report.state == ReportState::frozen) {
      EXPECT_GT(report.next, now);
      now = report.next;
    }
  }
  EXPECT_GE(now - kNow, 4h);
  EXPECT_LE(now - kNow, 5h);
  EXPECT_EQ(report.reason, "given up: SERVFAIL");
}

TEST(ReporterState, KeepsTheTargetsApart) {
  auto report = built_for({mailto("a@a.test"), https("https://r.test/")});
  tried(report, 0, {Attempt::Result::queued, "queued as 1"}, kNow, 24h);
  EXPECT_EQ(report.state, ReportState::built);
  tried(report, 1, {Attempt::Result::again, "HTTP status 500"}, kNow, 24h);
  EXPECT_EQ(report.targets[1].state, TargetState::waiting);
  EXPECT_EQ(next_step_at(report), kNow + 1min);
  tried(report, 1, {Attempt::Result::sent, ""}, kNow + 1min, 24h);
  EXPECT_EQ(report.state, ReportState::done);
  EXPECT_EQ(report.ended, kNow + 1min);
}

TEST(ReporterState, SendsOnceToATargetThatIsListedTwice) {
  EXPECT_EQ(built_for({mailto("a@a.test"), mailto("a@a.test"), mailto("b@a.test")}).targets.size(), 2u);
}

TEST(ReporterState, GivesATargetUpOnceRetryForIsOver) {
  auto report = built_for({https("https://r.test/")});
  WallTime now = kNow;
  while (report.state == ReportState::built) {
    ASSERT_LT(report.targets[0].attempts, 100u);
    tried(report, 0, {Attempt::Result::again, "HTTP status 404"}, now, 6h);
    now = report.targets[0].next;
  }
  EXPECT_EQ(report.targets[0].state, TargetState::given_up);
  EXPECT_EQ(report.targets[0].reason, "HTTP status 404");
  EXPECT_GT(report.targets[0].attempts, 4u);
}

TEST(ReporterState, TriesAtLeastOnceAfterALongStop) {
  auto report = built_for({https("https://r.test/")});
  const WallTime back = kNow + 30 * 24h;
  EXPECT_TRUE(is_due(*next_step_at(report), back));
  tried(report, 0, {Attempt::Result::sent, ""}, back, 24h);
  EXPECT_EQ(report.targets[0].state, TargetState::sent);
}

TEST(ReporterState, HoldingBackIsNoAttemptButEndsToo) {
  auto report = built_for({mailto("a@a.test")});
  tried(report, 0, {Attempt::Result::hold, "no key"}, kNow, 24h);
  EXPECT_EQ(report.targets[0].attempts, 0u);
  EXPECT_EQ(report.targets[0].state, TargetState::waiting);
  tried(report, 0, {Attempt::Result::hold, "no key"}, kNow + 24h, 24h);
  EXPECT_EQ(report.targets[0].state, TargetState::given_up);
}

TEST(ReporterState, TakesATimeFromAWrongClockAsDue) {
  EXPECT_TRUE(is_due(kNow, kNow));
  EXPECT_FALSE(is_due(kNow + 1h, kNow));
  EXPECT_TRUE(is_due(kNow + 400 * 24h, kNow));
}

TEST(ReporterState, SkippingEndsWhatWaits) {
  auto report = built_for({mailto("a@a.test"), mailto("b@a.test")});
  tried(report, 0, {Attempt::Result::queued, ""}, kNow, 24h);
  skip(report, "tlsrpt.enabled is false", kNow);
  EXPECT_EQ(report.targets[0].state, TargetState::queued);
  EXPECT_EQ(report.targets[1].state, TargetState::given_up);
  EXPECT_EQ(report.targets[1].reason, "tlsrpt.enabled is false");
}

}  // namespace
}  // namespace holdfast
