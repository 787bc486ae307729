// What the largest policy that a domain can publish costs: per delivery, per MX, and in the cache.
#include <gtest/gtest.h>

#include "tests/sts/policy_service_fixture.h"
#include "tests/sts/tls_decision_cases.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;

std::string policy_of(std::size_t lines, const std::string& line) {
  std::string text = "version: STSv1\nmode: testing\nmax_age: 86400\nmx: *.example.com\n";
  for (std::size_t i = 4; i < lines; ++i) text += line + "\n";
  return text;
}

TEST(PolicyCost, APolicyOfMoreLinesThanAnyDomainNeedsIsRefusedAndTheReasonSaysSo) {
  EXPECT_TRUE(StsPolicy::parse(policy_of(1000, "x")));
  const auto refused = StsPolicy::parse(policy_of(1001, "x"));
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(StsError::policy_invalid));
  EXPECT_NE(refused.error().detail.find("more than 1000 lines"), std::string::npos) << refused.error().detail;
  // Blank lines are not kept and cost nothing.
  EXPECT_TRUE(StsPolicy::parse(policy_of(5000, " ")));
}

TEST(PolicyCost, AllMxsOfAPlanShareOneTextOfThePolicy) {
  StsLookup sts = decision::sts(StsMode::testing);
  sts.cached->policy = StsPolicy::parse(policy_of(900, "x")).value();
  std::vector<DomainName> hosts;
  for (int i = 0; i < 20; ++i) hosts.push_back(domain("mx" + std::to_string(i) + ".example.com"));
  const std::vector<MxFacts> facts(hosts.size(), decision::facts());
  const TlsPlan plan = decide(decision::request(hosts), sts, facts);
  ASSERT_EQ(plan.mx.size(), 20u);
  for (const MxPlan& mx : plan.mx) {
    ASSERT_EQ(mx.policies.size(), 1u);
    EXPECT_EQ(&mx.policies[0].text.front(), &sts.cached->policy.lines.front());
    EXPECT_EQ(&mx.policies[0].mx.front(), &sts.cached->policy.mx.front());
  }
  ASSERT_TRUE(plan.sts);
  EXPECT_EQ(&plan.sts->policy.lines.front(), &sts.cached->policy.lines.front());
}

TEST(PolicyCost, AnMxThatMatchesNoneOfManyPatternsIsToldInFewWords) {
  std::vector<std::string> patterns;
  for (int i = 0; i < 900; ++i) patterns.push_back("mx" + std::to_string(i) + ".example.com");
  const MxPlan plan = decision::one(decision::request({domain("mx.evil.example")}),
                                    decision::sts(StsMode::enforce, patterns), decision::facts());
  EXPECT_FALSE(plan.usable);
  EXPECT_LT(plan.detail.size(), 300u);
  EXPECT_NE(plan.detail.find("mx0.example.com, mx1.example.com"), std::string::npos) << plan.detail;
  EXPECT_NE(plan.detail.find("and 890 more"), std::string::npos) << plan.detail;
}

TEST_F(PolicyServiceTest, CacheCountsWhatALineTakesInMemoryAndNotOnlyItsCharacters) {
  restart({.domains = 1000, .octets = 100'000});
  fetcher_.text = policy_of(950, "x");  // 1 KB on the wire, 30 KB in memory
  for (int i = 0; i < 20; ++i) {
    publish("1", "d" + std::to_string(i) + ".example");
    lookup(false, "d" + std::to_string(i) + ".example");
    clock_.advance(1s);
  }
  EXPECT_EQ(entries(), 3u);
}

}  // namespace
}  // namespace holdfast
