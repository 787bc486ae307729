#include "tlsrpt/report_bound.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/fakes/domain.h"
#include "tlsrpt/report_json.h"

namespace holdfast {
namespace {

using testing::HasSubstr;

const std::chrono::sys_days kBoundedDay = std::chrono::year(2026) / 3 / 14;

TEST(ReportBound, KeepsEveryCountInAReportThatWouldBeTooLarge) {
  Report report;
  report.organization = "Relay Ltd";
  report.contact = "tls@relay.test";
  report.report_id = "id";
  report.day = kBoundedDay;
  report.domain = domain("a.test");
  for (int p = 0; p < 300; ++p) {
    ReportedPolicy policy;
    policy.type = p % 2 == 0 ? "sts" : "tlsa";
    policy.domain = "a.test";
    for (int mx = 0; mx < 100; ++mx) policy.mx.push_back("mx" + std::to_string(mx) + ".a.test");
    policy.text = {std::string(60'000, 'x')};
    policy.successful = 1;
    for (int f = 0; f < 250; ++f) {
      FailureDetails failure;
      failure.result = f % 2 == 0 ? ResultType::certificate_expired : ResultType::validation_failure;
      failure.receiving_mx_hostname = "mx" + std::to_string(f) + ".a.test";
      failure.failed_sessions = 2;
      policy.failed += 2;
      policy.failures.push_back(failure);
    }
    report.policies.push_back(policy);
  }
  for (const std::size_t size : {8'000'000U, 500'000U, 50'000U}) {
    const auto json = bounded_report_json(report, size);
    EXPECT_LE(json.size(), size);
    const auto back = report_from_json(json, kBoundedDay, report.domain).value();
    std::uint64_t good = 0, bad = 0, detailed = 0;
    for (const auto& policy : back.policies) {
      good += policy.successful;
      bad += policy.failed;
      for (const auto& failure : policy.failures) detailed += failure.failed_sessions;
    }
    EXPECT_EQ(good, 300u);
    EXPECT_EQ(bad, 300u * 500);
    EXPECT_EQ(detailed, bad);
    EXPECT_THAT(json, HasSubstr(kFoldedNote));
  }
}

}  // namespace
}  // namespace holdfast
