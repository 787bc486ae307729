#include "tlsrpt/ledger.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "smtp/base/base_error.h"
#include "smtp/base/sqlite.h"
#include "tests/fakes/capture.h"
#include "tests/fakes/domain.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/run.h"
#include "tlsrpt/report.h"
#include "tlsrpt/reporter_store.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;

const std::chrono::sys_days kDay = std::chrono::sys_days(std::chrono::year(2026) / 3 / 14);

AppliedPolicy sts_policy(std::string_view name = "enforce.test") {
  AppliedPolicy policy;
  policy.type = AppliedPolicy::Type::sts;
  policy.policy_domain = domain(name);
  policy.text = {"version: STSv1", "mode: enforce", "mx: mx.enforce.test", "max_age: 86400"};
  policy.mx = {"mx.enforce.test"};
  policy.mode = StsMode::enforce;
  policy.enforced = true;
  return policy;
}

SessionOutcome outcome(ResultType result, std::string mx = "mx.enforce.test") {
  SessionOutcome out;
  out.day = kDay;
  out.report_domain = domain("enforce.test");
  out.policy = sts_policy();
  out.result = result;
  if (result != ResultType::success) {
    out.sending_ip = "192.0.2.1";
    out.mx_host = std::move(mx);
    out.receiving_ip = "198.51.100.7";
  }
  return out;
}

class LedgerTest : public testing::Test {
 protected:
  LedgerTest() {
    std::string name = (std::filesystem::temp_directory_path() / "holdfast-ledger-XXXXXX").string();
    folder_ = mkdtemp(name.data());
    open();
  }
  ~LedgerTest() override { std::filesystem::remove_all(folder_); }
  void open() {
    auto store = open_ledger_store(folder_ / "tlsrpt.db", "relay.test");
    ASSERT_TRUE(store) << store.error().text();
    store_ = std::move(*store);
  }
  std::vector<LedgerRow> rows() { return store_->rows(kDay, DomainName()).value(); }

  std::filesystem::path folder_;
  std::unique_ptr<LedgerStore> store_;
};

TEST_F(LedgerTest, AddsUpAcrossWritesAndRestarts) {
  ASSERT_TRUE(
      store_->add({{outcome(ResultType::success), 3}, {outcome(ResultType::starttls_not_supported), 1}}));
  ASSERT_TRUE(store_->add({{outcome(ResultType::success), 4}}));
  store_.reset();
  open();
  const auto found = rows();
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].sessions, 7u);
  EXPECT_EQ(found[0].outcome.policy, sts_policy());
  EXPECT_EQ(found[1].outcome.result, ResultType::starttls_not_supported);
  EXPECT_EQ(found[1].outcome.mx_host, "mx.enforce.test");
  EXPECT_EQ(found[1].outcome.receiving_ip, "198.51.100.7");
}

TEST_F(LedgerTest, KeepsDaysAndDomainsApart) {
  auto other_day = outcome(ResultType::success);
  other_day.day += std::chrono::days(1);
  auto other_domain = outcome(ResultType::success);
  other_domain.report_domain = domain("other.test");
  ASSERT_TRUE(store_->add({{outcome(ResultType::success), 1}, {other_day, 2}, {other_domain, 4}}));
  EXPECT_EQ(rows().size(), 2u);
  const auto one = store_->rows(kDay, domain("other.test")).value();
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0].sessions, 4u);
}

TEST_F(LedgerTest, ErasesOneDayOfOneDomain) {
  ASSERT_TRUE(store_->add({{outcome(ResultType::success), 1}}));
  ASSERT_TRUE(store_->erase({{kDay, domain("enforce.test")}}));
  EXPECT_TRUE(rows().empty());
}

TEST_F(LedgerTest, FoldsTheSmallestFailuresOfADomainAndLosesNoCount) {
  std::vector<LedgerRow> many;
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < 3 * kMaxFailureRows; ++i) {
    const std::uint64_t sessions = i % 5 + (i < 10 ? 1000 : 1);
    many.push_back(
        {outcome(ResultType::certificate_expired, "mx" + std::to_string(i) + ".enforce.test"), sessions});
    total += sessions;
  }
  ASSERT_TRUE(store_->add(many));
  const auto found = rows();
  EXPECT_LE(found.size(), kMaxFailureRows + 1);
  std::uint64_t counted = 0, folds = 0, large = 0;
  for (const auto& row : found) {
    counted += row.sessions;
    folds += row.outcome.additional_information == kFoldedNote ? 1 : 0;
    large += row.outcome.mx_host.size() > 0 && row.sessions >= 1000 ? 1 : 0;
  }
  EXPECT_EQ(counted, total);
  EXPECT_EQ(folds, 1u);
  EXPECT_EQ(large, 10u);
  // More of the same goes into the same fold.
  ASSERT_TRUE(store_->add(many));
  counted = 0;
  for (const auto& row : rows()) counted += row.sessions;
  EXPECT_EQ(counted, 2 * total);
}

TEST_F(LedgerTest, WritesAtLeastOnceASecondAndTheRestAtStop) {
  asio::io_context context;
  FakeClock clock;
  CapturingLog log;
  DurableLedger ledger(*store_, context.get_executor(), context.get_executor(), clock, log);
  ledger.start();
  ledger.record(outcome(ResultType::success));
  ledger.record(outcome(ResultType::success));
  settle(context);
  EXPECT_TRUE(rows().empty());
  clock.advance(1s);
  settle(context);
  ASSERT_EQ(rows().size(), 1u);
  EXPECT_EQ(rows()[0].sessions, 2u);
  ledger.record(outcome(ResultType::success));
  run(context, ledger.stop());
  EXPECT_EQ(rows()[0].sessions, 3u);
}

TEST_F(LedgerTest, CountsALatecomerOfAClosedDayInTheFirstOpenOne) {
  asio::io_context context;
  FakeClock clock;
  CapturingLog log;
  DurableLedger ledger(*store_, context.get_executor(), context.get_executor(), clock, log);
  ledger.record(outcome(ResultType::success));
  const auto days = run(context, ledger.close_before(kDay + std::chrono::days(1)));
  ASSERT_TRUE(days);
  ASSERT_EQ(days->size(), 1u);
  EXPECT_EQ(days->at(0).day, kDay);
  ledger.record(outcome(ResultType::success));  // its conversation went on over midnight
  run(context, ledger.stop());
  EXPECT_EQ(rows()[0].sessions, 1u);
  EXPECT_EQ(store_->rows(kDay + std::chrono::days(1), DomainName()).value().at(0).sessions, 1u);
}

TEST_F(LedgerTest, CountsWhatAReportWasMadeOfAlreadyInTheFirstOpenDay) {
  const auto next_day = kDay + std::chrono::days(1), third_day = kDay + std::chrono::days(2);
  {
    auto reports = open_reporter_store(folder_ / "tlsrpt.db", "relay.test").value();
    ASSERT_TRUE(reports->freeze({freeze(kDay, domain("enforce.test"), 0s, third_day),
                                 freeze(next_day, domain("enforce.test"), 0s, third_day)}));
  }
  open();
  ASSERT_TRUE(
      store_->add({{outcome(ResultType::success), 3}, {outcome(ResultType::certificate_expired), 2}}));
  EXPECT_TRUE(rows().empty());
  EXPECT_EQ(store_->rows(next_day, DomainName()).value().size(), 0u);
  EXPECT_EQ(store_->rows(third_day, DomainName()).value().size(), 2u);
}

// What the ledger of a relay looked like that had made no report yet.
TEST_F(LedgerTest, OpensAnOldDatabaseThatKnowsNothingOfReports) {
  ASSERT_TRUE(store_->add({{outcome(ResultType::success), 3}}));
  store_.reset();
  auto db = SqliteDb::open(folder_ / "tlsrpt.db");
  ASSERT_TRUE(db);
  ASSERT_TRUE(db->exec("DROP TABLE report; DROP TABLE target; DROP TABLE suppressed"));
  open();
  ASSERT_TRUE(store_->add({{outcome(ResultType::success), 4}}));
  EXPECT_EQ(rows().at(0).sessions, 7u);
}

class FailingStore final : public LedgerStore {
 public:
  explicit FailingStore(LedgerStore& store) : store_(store) {}
  Result<void> add(const std::vector<LedgerRow>& rows) override {
    if (failing) return Error(BaseError::io, "no space");
    return store_.add(rows);
  }
  Result<std::vector<LedgerRow>> rows(std::chrono::sys_days day, const DomainName& name) override {
    return store_.rows(day, name);
  }
  Result<void> erase(const std::vector<LedgerDay>& days) override { return store_.erase(days); }
  Result<std::vector<LedgerDay>> days_before(std::chrono::sys_days day) override {
    return store_.days_before(day);
  }
  bool failing = true;

 private:
  LedgerStore& store_;
};

TEST_F(LedgerTest, KeepsTheCountsThatCouldNotBeWritten) {
  asio::io_context context;
  FakeClock clock;
  CapturingLog log;
  FailingStore failing(*store_);
  DurableLedger ledger(failing, context.get_executor(), context.get_executor(), clock, log);
  ledger.start();
  settle(context);
  ledger.record(outcome(ResultType::success));
  for (int i = 0; i < 3; ++i) {
    clock.advance(1s);
    settle(context);
  }
  EXPECT_TRUE(log.holds("no space"));
  EXPECT_EQ(log.lines().size(), 1u);  // told once, not every second
  failing.failing = false;
  ledger.record(outcome(ResultType::success));
  run(context, ledger.stop());
  ASSERT_EQ(rows().size(), 1u);
  EXPECT_EQ(rows()[0].sessions, 2u);
}

TEST(Report, GroupsByPolicyAndCountsBothEnds) {
  auto changed = outcome(ResultType::success);
  changed.policy.text = {"version: STSv1", "mode: testing", "mx: mx.enforce.test", "max_age: 86400"};
  changed.policy.mode = StsMode::testing;
  auto none = outcome(ResultType::success);
  none.policy = AppliedPolicy();
  const auto reports = build_reports({{outcome(ResultType::success), 5},
                                      {outcome(ResultType::certificate_expired, "a.enforce.test"), 1},
                                      {outcome(ResultType::certificate_expired, "b.enforce.test"), 2},
                                      {changed, 7},
                                      {none, 1}},
                                     {"Relay Ltd", "tls@relay.test", "relay.test"});
  ASSERT_EQ(reports.size(), 1u);
  const auto& report = reports[0];
  EXPECT_EQ(report.report_id, "20260314.enforce.test@relay.test");
  ASSERT_EQ(report.policies.size(), 3u);
  EXPECT_EQ(report.policies[0].type, "sts");
  EXPECT_EQ(report.policies[0].successful, 5u);
  EXPECT_EQ(report.policies[0].failed, 3u);
  ASSERT_EQ(report.policies[0].failures.size(), 2u);
  EXPECT_EQ(report.policies[0].failures[0].receiving_mx_hostname, "b.enforce.test");
  EXPECT_EQ(report.policies[1].successful, 7u);
  EXPECT_EQ(report.policies[2].type, "no-policy-found");
}

TEST(Report, CallsAPolicyOfModeNoneNoPolicy) {
  auto none = outcome(ResultType::success);
  none.policy.mode = StsMode::none;
  const auto reports = build_reports({{none, 1}}, {});
  EXPECT_EQ(reports[0].policies[0].type, "no-policy-found");
}

TEST(Report, ReportsAPolicyThatCouldNotBeHadAsStsWithoutText) {
  auto unknown = outcome(ResultType::sts_policy_fetch_error);
  unknown.policy.text = {};
  unknown.policy.mx = {};
  unknown.policy.mode = StsMode::none;
  const auto reports = build_reports({{unknown, 1}}, {});
  EXPECT_EQ(reports[0].policies[0].type, "sts");
  EXPECT_TRUE(reports[0].policies[0].text.empty());
}

}  // namespace
}  // namespace holdfast
