// decide(): what a route asks for.
#include <gtest/gtest.h>

#include "tests/sts/tls_decision_cases.h"

namespace holdfast::decision {
namespace {

PlanRequest verified(std::vector<DomainName> hosts = {kMx}) {
  PlanRequest r = request(std::move(hosts));
  r.route = RouteTlsDemand{};
  return r;
}

// A forged MX answer names a host for which the forger has a genuine certificate.
TEST(Decide, VerifiedRouteBelievesNoMxThatNothingVouchesFor) {
  for (const MxFacts& f : {facts(), dane(), dane({kUnusable})}) {
    for (const StsLookup& s : {absent(), failed(), sts(StsMode::none, {})}) {
      const TlsPlan plan = decide(verified(), s, {f});
      EXPECT_FALSE(plan.mx[0].usable);
      EXPECT_EQ(plan.mx[0].finding, PlanFinding::not_authenticated);
      EXPECT_TRUE(plan.policy_forbids);
    }
  }
  EXPECT_FALSE(one(verified(), sts(StsMode::testing, {"other.example"}), facts()).usable);
  PlanRequest without_sts = verified();
  without_sts.sts_mode = PolicyMode::off;
  EXPECT_FALSE(one(without_sts, sts(StsMode::enforce), facts()).usable);
}

TEST(Decide, VerifiedRouteBelievesASecureMxSetAndAPolicyThatListsTheMx) {
  PlanRequest secure = verified();
  secure.mx.secure = true;
  EXPECT_TRUE(one(secure, absent(), facts()).usable);
  for (const StsMode mode : {StsMode::testing, StsMode::enforce}) {
    const MxPlan plan = one(verified(), sts(mode), facts());
    EXPECT_TRUE(plan.usable);
    EXPECT_EQ(plan.requirement.pkix, PkixRequirement{kMx});
  }
}

TEST(Decide, VerifiedRouteBelievesTheOperatorAndTheDomainItself) {
  EXPECT_TRUE(one(verified({kDomain}), absent(), facts()).usable);
}

TEST(Decide, RouteThatVerifiesNothingTakesTheMxAsItComes) {
  PlanRequest r = verified();
  r.route->tls = RouteTls::required;
  EXPECT_TRUE(one(r, absent(), facts()).usable);
}

// Neither a user nor an exception makes the name the domain's own.
TEST(Decide, NothingLowersWhoVouchesForTheMxOfAVerifiedRoute) {
  PlanRequest r = verified();
  r.message.tls_required_no = true;
  r.exceptions = {exception({Relaxation::bad_certificate, Relaxation::no_starttls})};
  EXPECT_FALSE(one(r, absent(), facts()).usable);
}

TEST(Decide, ExceptionsDoNotReachARouteThatSendsAPassword) {
  for (const Relaxation allowed : {Relaxation::bad_certificate, Relaxation::no_starttls}) {
    PlanRequest r = verified({kDomain});
    r.exceptions = {exception({allowed})};
    const MxPlan lowered = one(r, absent(), facts());
    EXPECT_FALSE(lowered.requirement.pkix);
    EXPECT_EQ(lowered.lowered_by, "ticket 4711");
    r.route->password = true;
    const MxPlan kept = one(r, absent(), dane());
    EXPECT_EQ(kept.requirement.level, TlsLevel::authenticated);
    EXPECT_TRUE(kept.requirement.pkix && kept.requirement.dane);
    EXPECT_EQ(kept.finding, PlanFinding::none);
    EXPECT_EQ(kept.lowered_by, "");
    EXPECT_EQ(kept.not_lowered_by, "ticket 4711");
  }
}

}  // namespace
}  // namespace holdfast::decision
