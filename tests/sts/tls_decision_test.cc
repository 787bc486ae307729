// decide(): what each MX must prove, by the order in sts/tls_planner.h: MTA-STS policies, floor and routes.
// DANE, what messages ask for and exceptions are in the tls_decision_*_test.cc beside it, and the invariants
// over random inputs.
#include <gtest/gtest.h>

#include <set>

#include "tests/sts/tls_decision_cases.h"

namespace holdfast::decision {
namespace {

// --- no policy, none, testing ---

TEST(Decide, WithoutAPolicyTlsIsOpportunistic) {
  const MxPlan plan = one(request(), absent(), facts());
  EXPECT_TRUE(plan.usable);
  EXPECT_EQ(plan.requirement.level, TlsLevel::opportunistic);
  EXPECT_TRUE(plan.requirement.cleartext_allowed);
  EXPECT_EQ(plan.requirement.server_name, kMx);
  EXPECT_FALSE(plan.requirement.watch_pkix);
  EXPECT_EQ(types(plan), std::vector<Type>{Type::none});
  EXPECT_EQ(plan.policies[0].policy_domain, kDomain);
}

TEST(Decide, ModeNoneIsAsWithoutAPolicy) {
  const MxPlan plan = one(request(), sts(StsMode::none, {}), facts());
  EXPECT_TRUE(plan.usable && plan.requirement.cleartext_allowed);
  EXPECT_EQ(types(plan), std::vector<Type>{Type::none});
}

// Seen elsewhere: domains in testing reported as having no policy.
TEST(Decide, TestingRequiresNothingAndWatchesWhatEnforceWouldRequire) {
  const MxPlan plan = one(request(), sts(StsMode::testing), facts());
  EXPECT_TRUE(plan.usable && plan.requirement.cleartext_allowed);
  EXPECT_FALSE(plan.requirement.pkix);
  EXPECT_EQ(plan.requirement.watch_pkix, PkixRequirement{kMx});
  ASSERT_EQ(types(plan), std::vector<Type>{Type::sts});
  EXPECT_EQ(plan.policies[0].mode, StsMode::testing);
  EXPECT_FALSE(plan.policies[0].enforced);
  EXPECT_EQ(plan.policies[0].text.front(), "version: STSv1");
}

TEST(Decide, TestingUsesAnMxOutsideThePolicyAndRecordsIt) {
  const MxPlan plan = one(request(), sts(StsMode::testing, {"other.example"}), facts());
  EXPECT_TRUE(plan.usable);
  EXPECT_EQ(plan.finding, PlanFinding::mx_not_in_policy);
  EXPECT_EQ(plan.detail, "mx.example.com matches none of other.example");
}

// --- enforce ---

TEST(Decide, EnforceRequiresPkixOfTheMxName) {
  const TlsPlan plan = decide(request(), sts(StsMode::enforce), {facts()});
  const MxPlan& mx = plan.mx[0];
  EXPECT_TRUE(mx.usable);
  EXPECT_EQ(mx.requirement.level, TlsLevel::authenticated);
  EXPECT_FALSE(mx.requirement.cleartext_allowed);
  EXPECT_EQ(mx.requirement.pkix, PkixRequirement{kMx});
  EXPECT_EQ(mx.requirement.min_version, TlsVersion::tls12);
  ASSERT_EQ(types(mx), std::vector<Type>{Type::sts});
  EXPECT_TRUE(mx.policies[0].enforced);
  EXPECT_EQ(mx.policies[0].mx, std::vector<std::string>{"*.example.com"});
  ASSERT_TRUE(plan.sts);
  EXPECT_EQ(plan.policy_domain, kDomain);
}

TEST(Decide, EnforceLeavesOutAnMxOutsideThePolicyAndUsesTheNext) {
  const PlanRequest r = request({domain("mx.evil.example"), kMx});
  const TlsPlan plan = decide(r, sts(StsMode::enforce), {facts(), facts()});
  EXPECT_FALSE(plan.mx[0].usable);
  EXPECT_EQ(plan.mx[0].finding, PlanFinding::mx_not_in_policy);
  EXPECT_FALSE(plan.mx[0].requirement.cleartext_allowed);
  EXPECT_TRUE(plan.mx[1].usable);
  EXPECT_FALSE(plan.policy_forbids);
}

TEST(Decide, NoMxWithinThePolicyIsForbiddenByPolicyWithTheReason) {
  const TlsPlan plan = decide(request({domain("mx.evil.example")}), sts(StsMode::enforce), {facts()});
  EXPECT_TRUE(plan.policy_forbids);
  EXPECT_EQ(plan.why, "mx.evil.example matches none of *.example.com");
}

TEST(Decide, ObserveTurnsEnforceIntoWatching) {
  PlanRequest r = request({kMx, domain("mx.evil.example")});
  r.sts_mode = PolicyMode::observe;
  const TlsPlan plan = decide(r, sts(StsMode::enforce), {facts(), facts()});
  EXPECT_TRUE(plan.mx[0].usable && plan.mx[0].requirement.cleartext_allowed);
  EXPECT_EQ(plan.mx[0].requirement.watch_pkix, PkixRequirement{kMx});
  EXPECT_FALSE(plan.mx[0].policies[0].enforced);
  EXPECT_EQ(plan.mx[0].policies[0].mode, StsMode::enforce);
  EXPECT_TRUE(plan.mx[1].usable);
  EXPECT_EQ(plan.mx[1].finding, PlanFinding::mx_not_in_policy);
}

TEST(Decide, OffLooksAtNoPolicy) {
  PlanRequest r = request();
  r.sts_mode = PolicyMode::off;
  for (const StsLookup& s : {sts(StsMode::enforce, {"other.example"}), unknown(), failed()}) {
    const TlsPlan plan = decide(r, s, {facts()});
    EXPECT_FALSE(plan.must_wait || plan.sts || plan.sts_fetch_failure);
    EXPECT_EQ(types(plan.mx[0]), std::vector<Type>{Type::none});
    EXPECT_TRUE(plan.mx[0].requirement.cleartext_allowed);
  }
}

// --- unknown and failed policies ---

TEST(Decide, UnknownPolicyWaitsForAtMost30MinutesOfTheMessagesLife) {
  PlanRequest r = request();
  r.message_age = std::chrono::minutes(30) - std::chrono::nanoseconds(1);
  TlsPlan plan = decide(r, unknown(), {facts()});
  EXPECT_TRUE(plan.must_wait);
  EXPECT_FALSE(plan.mx[0].usable || plan.mx[0].requirement.cleartext_allowed || plan.policy_forbids);
  EXPECT_NE(plan.why, "");
  r.message_age = std::chrono::minutes(30);
  plan = decide(r, unknown(), {facts()});
  EXPECT_FALSE(plan.must_wait);
  EXPECT_TRUE(plan.mx[0].usable && plan.mx[0].requirement.cleartext_allowed);
  EXPECT_EQ(plan.mx[0].finding, PlanFinding::sts_unknown);
  EXPECT_EQ(types(plan.mx[0]), std::vector<Type>{Type::none});
}

TEST(Decide, UnknownPolicyDelaysNothingWhenOnlyObserving) {
  PlanRequest r = request();
  r.sts_mode = PolicyMode::observe;
  EXPECT_FALSE(decide(r, unknown(), {facts()}).must_wait);
}

TEST(Decide, PresentWithoutAPolicyIsTakenAsUnknown) {
  StsLookup broken = sts(StsMode::enforce);
  broken.cached.reset();
  EXPECT_TRUE(decide(request(), broken, {facts()}).must_wait);
}

// Holding would be the wrong kind of caution here (RFC 8461 section 5.1, a MUST).
TEST(Decide, FetchFailureWithNothingCachedDeliversAsWithoutPolicyAndIsReportedAsSts) {
  const TlsPlan plan = decide(request(), failed(), {facts()});
  EXPECT_TRUE(plan.mx[0].usable && plan.mx[0].requirement.cleartext_allowed);
  EXPECT_EQ(plan.mx[0].finding, PlanFinding::sts_fetch_failed);
  EXPECT_EQ(plan.sts_fetch_failure, StsError::http_status);
  ASSERT_EQ(types(plan.mx[0]), std::vector<Type>{Type::sts});
  EXPECT_TRUE(plan.mx[0].policies[0].text.empty());
  EXPECT_EQ(plan.mx[0].policies[0].policy_domain, kDomain);
}

// --- floor and routes ---

TEST(Decide, FloorRequiresTlsWhereNoPolicySpeaks) {
  PlanRequest r = request();
  r.floor = TlsFloor::required;
  const MxPlan plan = one(r, absent(), facts());
  EXPECT_EQ(plan.requirement.level, TlsLevel::encrypted);
  EXPECT_FALSE(plan.requirement.cleartext_allowed);
  EXPECT_EQ(one(r, sts(StsMode::enforce), facts()).requirement.level, TlsLevel::authenticated);
}

TEST(Decide, RouteRaisesAndNeverLowers) {
  struct Case {
    RouteTls tls;
    bool implicit;
    TlsVersion min;
    TlsLevel expected;
  };
  for (const Case& c : {Case{RouteTls::opportunistic, false, TlsVersion::none, TlsLevel::opportunistic},
                        Case{RouteTls::opportunistic, true, TlsVersion::none, TlsLevel::encrypted},
                        Case{RouteTls::opportunistic, false, TlsVersion::tls12, TlsLevel::encrypted},
                        Case{RouteTls::required, false, TlsVersion::none, TlsLevel::encrypted},
                        Case{RouteTls::verify, false, TlsVersion::tls13, TlsLevel::authenticated}}) {
    PlanRequest r = request();
    r.route = RouteTlsDemand{c.tls, c.implicit, c.min};
    r.mx.secure = true;
    const MxPlan plan = one(r, absent(), facts());
    EXPECT_EQ(plan.requirement.level, c.expected);
    EXPECT_EQ(plan.requirement.cleartext_allowed, c.expected == TlsLevel::opportunistic);
    EXPECT_EQ(plan.requirement.pkix.has_value(), c.tls == RouteTls::verify);
    EXPECT_GE(plan.requirement.min_version, c.min);
    EXPECT_EQ(one(r, sts(StsMode::enforce), facts()).requirement.level, TlsLevel::authenticated);
    EXPECT_FALSE(one(r, sts(StsMode::enforce, {"other.example"}), facts()).usable);
  }
}

TEST(Decide, CiphersOfARouteGoIntoTheRequirementAndMeanTls) {
  PlanRequest r = request();
  r.route = RouteTlsDemand{RouteTls::opportunistic, false, TlsVersion::none};
  r.route->ciphers = "ECDHE-RSA-AES256-GCM-SHA384";
  const MxPlan plan = one(r, absent(), facts());
  EXPECT_EQ(plan.requirement.ciphers, "ECDHE-RSA-AES256-GCM-SHA384");
  EXPECT_EQ(plan.requirement.level, TlsLevel::encrypted);
  EXPECT_FALSE(plan.requirement.cleartext_allowed);
  r.exceptions = {exception({Relaxation::no_starttls})};
  const MxPlan lowered = one(r, absent(), facts());
  EXPECT_TRUE(lowered.requirement.cleartext_allowed);
  EXPECT_EQ(lowered.requirement.ciphers, "");  // no demand that cleartext could not meet
}

TEST(Decide, HostWithoutANameIsNeverAuthenticated) {
  PlanRequest r = request({DomainName()});
  r.route = RouteTlsDemand{};
  EXPECT_FALSE(one(r, absent(), facts()).usable);
  r.route->tls = RouteTls::required;
  EXPECT_TRUE(one(r, absent(), facts()).usable);
}

// They stand in the queue, in bounces and in `check`: an operator tells them apart by their words alone.
TEST(PlanFinding, HasWordsOfItsOwn) {
  std::set<std::string> words;
  for (int i = 0; i <= static_cast<int>(PlanFinding::address_unknown); ++i)
    EXPECT_TRUE(words.insert(describe(static_cast<PlanFinding>(i))).second) << i;
  EXPECT_FALSE(words.contains("unknown finding"));
}

}  // namespace
}  // namespace holdfast::decision
