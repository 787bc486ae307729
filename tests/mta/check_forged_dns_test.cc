// `holdfast check` on an unsigned DNS answer that leads nowhere: what a delivery makes of it.
#include <gtest/gtest.h>

#include "mta/check_verdict.h"
#include "tests/fakes/domain.h"

namespace holdfast {
namespace {

CheckResult null_mx(std::optional<StsMode> policy) {
  CheckResult result;
  CheckedHop& hop = result.hops.emplace_back();
  hop.hop.name = hop.mx_set.domain = domain("a.example");
  hop.mx_set.verdict = MxVerdict::null_mx;
  if (policy) hop.plan.sts.emplace().policy.mode = *policy;
  return result;
}

TEST(CheckForgedDns, IsHeldAgainstThePolicyInForce) {
  CheckResult result = null_mx(StsMode::enforce);
  walk_all(result);
  EXPECT_EQ(result.verdict, CheckVerdict::held);
  EXPECT_EQ(result.message.status, "4.4.3");
  EXPECT_NE(result.message.text.find("MTA-STS"), std::string::npos);
}

TEST(CheckForgedDns, IsBelievedWithoutOneOrWhereItIsSigned) {
  const std::optional<StsMode> policies[] = {std::nullopt, StsMode::none, StsMode::testing, StsMode::enforce};
  for (const auto& policy : policies) {
    CheckResult result = null_mx(policy);
    result.hops[0].mx_set.secure = policy == StsMode::enforce;
    walk_all(result);
    EXPECT_EQ(result.verdict, CheckVerdict::bounced);
    EXPECT_EQ(result.message.status, "5.1.10");
  }
}

TEST(CheckForgedDns, IsUnknownWhileThePolicyIs) {
  CheckResult result = null_mx(std::nullopt);
  result.hops[0].plan.must_wait = true;
  result.hops[0].plan.why = "whether there is a policy is unknown";
  walk_all(result);
  EXPECT_EQ(result.verdict, CheckVerdict::unknown);
  EXPECT_EQ(result.message.status, "4.4.3");
}

}  // namespace
}  // namespace holdfast
