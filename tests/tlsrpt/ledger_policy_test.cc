// Policies in the ledger: large ones, and domains that show a new one every minute or with every session.
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "tests/fakes/capture.h"
#include "tests/fakes/domain.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/run.h"
#include "tlsrpt/ledger.h"
#include "tlsrpt/report.h"
#include "tlsrpt/report_json.h"

namespace holdfast {
namespace {

const std::chrono::sys_days kPolicyDay = std::chrono::sys_days(std::chrono::year(2026) / 3 / 14);

SessionOutcome session_under(AppliedPolicy::Type type, std::vector<std::string> text, ResultType result) {
  SessionOutcome out;
  out.day = kPolicyDay;
  out.report_domain = domain("a.test");
  out.policy.type = type;
  out.policy.policy_domain = domain("a.test");
  out.policy.mode = type == AppliedPolicy::Type::sts ? StsMode::testing : StsMode::none;
  out.policy.text = std::move(text);
  out.result = result;
  return out;
}

std::vector<std::string> large_text() {
  std::vector<std::string> text{"version: STSv1", "mode: testing", "max_age: 86400", "mx: *.a.test"};
  while (text.size() < 900) text.push_back("x");
  return text;
}

std::uint64_t sessions_of(const std::vector<LedgerRow>& rows) {
  std::uint64_t sum = 0;
  for (const LedgerRow& row : rows) sum += row.sessions;
  return sum;
}

class LedgerPolicyTest : public testing::Test {
 protected:
  LedgerPolicyTest() {
    std::string name = (std::filesystem::temp_directory_path() / "holdfast-ledger-XXXXXX").string();
    folder_ = mkdtemp(name.data());
    store_ = open_ledger_store(folder_ / "tlsrpt.db", "relay.test").value();
  }
  ~LedgerPolicyTest() override { std::filesystem::remove_all(folder_); }
  std::vector<LedgerRow> rows() { return store_->rows(kPolicyDay, domain("a.test")).value(); }

  std::filesystem::path folder_;
  std::unique_ptr<LedgerStore> store_;
};

TEST_F(LedgerPolicyTest, AllRowsOfADayShareOneTextOfTheirPolicy) {
  std::vector<LedgerRow> failures;
  for (int i = 0; i < 150; ++i) {
    auto failed = session_under(AppliedPolicy::Type::sts, large_text(), ResultType::certificate_not_trusted);
    failed.mx_helo = "helo" + std::to_string(i);
    failures.push_back({failed, 1});
  }
  ASSERT_TRUE(store_->add(failures));
  const auto found = rows();
  ASSERT_EQ(found.size(), 150u);
  EXPECT_EQ(found.front().outcome.policy.text.size(), 900u);
  for (const LedgerRow& row : found)
    ASSERT_EQ(&row.outcome.policy.text.front(), &found.front().outcome.policy.text.front());
}

TEST_F(LedgerPolicyTest, ANewPolicyEveryMinuteIsCountedTogetherWithOthersAndLosesNoCount) {
  for (int minute = 0; minute < 1440; ++minute) {
    const std::vector<std::string> text{"version: STSv1", "mode: testing",
                                        "x: " + std::to_string(minute) + std::string(1000, 'x')};
    ASSERT_TRUE(
        store_->add({{session_under(AppliedPolicy::Type::sts, text, ResultType::success), 2},
                     {session_under(AppliedPolicy::Type::sts, text, ResultType::certificate_expired), 1}}));
  }
  const auto found = rows();
  EXPECT_EQ(sessions_of(found), 1440u * 3);
  std::set<std::vector<std::string>> texts;
  for (const LedgerRow& row : found)
    texts.emplace(row.outcome.policy.text.begin(), row.outcome.policy.text.end());
  EXPECT_EQ(texts.size(), kMaxPoliciesOfADay + 1);
  const auto reports = build_reports(found, {});
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_LE(reports[0].policies.size(), kMaxPoliciesOfADay + 1);
  EXPECT_LT(report_json(reports[0]).size(), 500'000u);
  for (const ReportedPolicy& policy : reports[0].policies) EXPECT_EQ(policy.type, "sts");
}

TEST_F(LedgerPolicyTest, TheTextOfADaysPoliciesIsBoundedAsAWhole) {
  for (int i = 0; i < 50; ++i) {
    const std::vector<std::string> text{"version: STSv1",
                                        "x: " + std::to_string(i) + std::string(60'000, 'x')};
    ASSERT_TRUE(store_->add({{session_under(AppliedPolicy::Type::sts, text, ResultType::success), 1}}));
  }
  std::size_t octets = 0;
  for (const LedgerRow& row : rows())
    for (const std::string& line : row.outcome.policy.text) octets += line.size();
  EXPECT_LE(octets, kMaxPolicyOctetsOfADay);
  EXPECT_GT(octets, kMaxPolicyOctetsOfADay / 2);
  EXPECT_EQ(sessions_of(rows()), 50u);
}

// An MX set with random names, each with a TLSA set of its own or one that cannot be had.
TEST_F(LedgerPolicyTest, TlsaBaseDomainsThatNeverComeTwiceAreCountedTogetherToo) {
  for (int i = 0; i < 500; ++i) {
    auto there =
        session_under(AppliedPolicy::Type::tlsa, {"3 1 1 " + std::to_string(i)}, ResultType::success);
    there.policy.policy_domain = domain("mx" + std::to_string(i) + ".a.test");
    auto unknown = session_under(AppliedPolicy::Type::tlsa, {}, ResultType::dnssec_invalid);
    unknown.policy.policy_domain = domain("un" + std::to_string(i) + ".a.test");
    ASSERT_TRUE(store_->add({{there, 1}, {unknown, 1}}));
  }
  const auto found = rows();
  EXPECT_EQ(sessions_of(found), 1000u);
  std::set<std::string> domains;
  for (const LedgerRow& row : found) domains.insert(row.outcome.policy.policy_domain.text());
  EXPECT_LE(domains.size(), kMaxPoliciesOfADay + 1);
}

// What could not be had stays what it is: it has no text that could be large, and its type is told by that.
TEST_F(LedgerPolicyTest, AFailedFetchIsNeverCountedUnderAnotherPolicy) {
  for (std::size_t i = 0; i < 2 * kMaxPoliciesOfADay; ++i)
    ASSERT_TRUE(store_->add(
        {{session_under(AppliedPolicy::Type::sts, {"x: " + std::to_string(i)}, ResultType::success), 1}}));
  auto unfetched = session_under(AppliedPolicy::Type::sts, {}, ResultType::sts_policy_fetch_error);
  unfetched.policy.mode = StsMode::none;
  ASSERT_TRUE(store_->add({{unfetched, 7}}));
  for (const LedgerRow& row : rows()) {
    if (row.outcome.result == ResultType::success) continue;
    EXPECT_TRUE(row.outcome.policy.text.empty());
    EXPECT_EQ(row.sessions, 7u);
  }
}

TEST_F(LedgerPolicyTest, MemoryIsBoundedWhileTheDiskTakesNothing) {
  asio::io_context context;
  FakeClock clock;
  CapturingLog log;
  DurableLedger ledger(*store_, context.get_executor(), context.get_executor(), clock, log);
  const std::string large(60'000, 'x');
  for (int i = 0; i < 2000; ++i)
    ledger.record(
        session_under(AppliedPolicy::Type::sts, {"x: " + std::to_string(i) + large}, ResultType::success));
  EXPECT_LE(ledger.policy_octets(), kMaxPolicyOctetsInMemory);
  ASSERT_TRUE(run(context, ledger.flush()));
  EXPECT_EQ(ledger.policy_octets(), 0u);
  EXPECT_EQ(sessions_of(rows()), 2000u);
  run(context, ledger.stop());
}

}  // namespace
}  // namespace holdfast
