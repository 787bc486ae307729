// decide(): what a message asks for itself.
#include <gtest/gtest.h>

#include "tests/sts/tls_decision_cases.h"

namespace holdfast::decision {
namespace {

// --- REQUIRETLS ---

PlanRequest requiretls(std::vector<DomainName> hosts = {kMx}) {
  PlanRequest r = request(std::move(hosts));
  r.message.requiretls = true;
  return r;
}

TEST(Decide, RequiretlsNeedsSomethingThatVouchesForTheMx) {
  const TlsPlan plan = decide(requiretls(), absent(), {facts()});
  EXPECT_FALSE(plan.mx[0].usable);
  EXPECT_EQ(plan.mx[0].finding, PlanFinding::not_authenticated);
  EXPECT_TRUE(plan.policy_forbids);
}

TEST(Decide, RequiretlsIsMetByEnforceBySecureMxAndByDaneBehindIt) {
  MxPlan plan = one(requiretls(), sts(StsMode::enforce), facts());
  EXPECT_TRUE(plan.usable && plan.requirement.requiretls && plan.requirement.pkix);

  PlanRequest secure = requiretls();
  secure.mx.secure = true;
  plan = one(secure, absent(), facts());
  EXPECT_TRUE(plan.usable && plan.requirement.requiretls);
  EXPECT_EQ(plan.requirement.pkix, PkixRequirement{kMx});
  plan = one(secure, absent(), dane());
  EXPECT_TRUE(plan.usable && plan.requirement.dane && !plan.requirement.pkix);
  plan = one(secure, absent(), dane({kUnusable}));
  EXPECT_TRUE(plan.usable && plan.requirement.pkix);
  EXPECT_EQ(plan.requirement.level, TlsLevel::authenticated);
}

TEST(Decide, RequiretlsTakesATestingPolicysWordForTheNameAndVerifiesIt) {
  const MxPlan plan = one(requiretls(), sts(StsMode::testing), facts());
  EXPECT_TRUE(plan.usable);
  EXPECT_EQ(plan.requirement.pkix, PkixRequirement{kMx});
  EXPECT_FALSE(one(requiretls(), sts(StsMode::testing, {"other.example"}), facts()).usable);
}

// The network named this MX: its own TLSA set proves nothing about the recipient's domain.
TEST(Decide, RequiretlsIsNotMetByDaneBehindAnUnsignedMxSet) {
  EXPECT_FALSE(one(requiretls(), absent(), dane()).usable);
}

TEST(Decide, RequiretlsIsMetByTheOperatorsOwnVerifiedRoute) {
  PlanRequest r = requiretls({kDomain});
  r.route = RouteTlsDemand{};
  const MxPlan plan = one(r, absent(), facts());
  EXPECT_TRUE(plan.usable);
  EXPECT_EQ(plan.requirement.pkix, PkixRequirement{kDomain});
  r.route->tls = RouteTls::required;
  EXPECT_FALSE(one(r, absent(), facts()).usable);
}

TEST(Decide, RequiretlsIsNotLoweredByTlsRequiredNoNorByExceptions) {
  PlanRequest r = requiretls();
  r.message.tls_required_no = true;
  r.exceptions = {exception({Relaxation::bad_certificate, Relaxation::no_starttls})};
  const MxPlan plan = one(r, sts(StsMode::enforce), facts());
  EXPECT_TRUE(plan.requirement.pkix && plan.requirement.requiretls && !plan.requirement.cleartext_allowed);
  EXPECT_EQ(plan.finding, PlanFinding::none);
}

// --- TLS-Required: No ---

TEST(Decide, TlsRequiredNoDeliversWherePolicyWouldForbid) {
  PlanRequest r = request();
  r.message.tls_required_no = true;
  r.floor = TlsFloor::required;
  for (const StsLookup& s :
       {sts(StsMode::enforce), sts(StsMode::enforce, {"other.example"}), unknown(), absent()}) {
    for (const MxFacts& f : {facts(), dane(), dane({kUnusable}), tlsa_failing(DnsStatus::timed_out)}) {
      const TlsPlan plan = decide(r, s, {f});
      EXPECT_FALSE(plan.must_wait);
      EXPECT_TRUE(plan.mx[0].usable && plan.mx[0].requirement.cleartext_allowed);
      EXPECT_EQ(plan.mx[0].requirement.level, TlsLevel::opportunistic);
      for (const AppliedPolicy& policy : plan.mx[0].policies) EXPECT_FALSE(policy.enforced);
    }
  }
}

TEST(Decide, TlsRequiredNoDoesNotLowerARoute) {
  PlanRequest r = request();
  r.message.tls_required_no = true;
  r.route = RouteTlsDemand{};
  r.mx.secure = true;
  const MxPlan plan = one(r, absent(), facts());
  EXPECT_TRUE(plan.usable);
  EXPECT_EQ(plan.requirement.pkix, PkixRequirement{kMx});
  EXPECT_FALSE(plan.requirement.cleartext_allowed);
}

}  // namespace
}  // namespace holdfast::decision
