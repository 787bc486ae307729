// decide(): DANE, and DANE beside MTA-STS.
#include <gtest/gtest.h>

#include "tests/sts/tls_decision_cases.h"

namespace holdfast::decision {
namespace {

TEST(Decide, SecureTlsaSetIsRequiredWithItsBaseAsSni) {
  MxFacts f = dane({kPlanTlsa, kUnusable});
  f.tlsa_base = domain("host.provider.example");
  const MxPlan plan = one(request(), absent(), f);
  EXPECT_EQ(plan.requirement.level, TlsLevel::authenticated);
  EXPECT_FALSE(plan.requirement.cleartext_allowed);
  EXPECT_FALSE(plan.requirement.pkix);
  EXPECT_EQ(plan.requirement.server_name, f.tlsa_base);
  ASSERT_TRUE(plan.requirement.dane);
  EXPECT_EQ(plan.requirement.dane->records,
            std::vector<TlsaRecord>{kPlanTlsa});  // usages 0 and 1 never get through
  EXPECT_EQ(plan.requirement.dane->names, (std::vector<DomainName>{f.tlsa_base, kMx, kDomain}));
  ASSERT_EQ(types(plan), std::vector<Type>{Type::tlsa});
  EXPECT_EQ(plan.policies[0].policy_domain, f.tlsa_base);
  EXPECT_EQ(plan.policies[0].text.size(), 2u);  // as found
}

TEST(Decide, InsecureTlsaIsIgnored) {
  MxFacts f = dane();
  f.tlsa_secure = false;
  const MxPlan plan = one(request(), absent(), f);
  EXPECT_TRUE(plan.requirement.cleartext_allowed);
  EXPECT_EQ(types(plan), std::vector<Type>{Type::none});
}

// Invariant 20.
TEST(Decide, AllUnusableTlsaStillMeansTls) {
  const MxPlan plan = one(request(), absent(), dane({kUnusable}));
  EXPECT_TRUE(plan.usable);
  EXPECT_EQ(plan.requirement.level, TlsLevel::encrypted);
  EXPECT_FALSE(plan.requirement.cleartext_allowed || plan.requirement.dane);
  EXPECT_EQ(plan.finding, PlanFinding::tlsa_all_unusable);
  ASSERT_EQ(types(plan), std::vector<Type>{Type::tlsa});
  EXPECT_TRUE(plan.policies[0].enforced);
}

// Invariant 19.
TEST(Decide, UnknownTlsaOfASecureHostIsNotUsableNow) {
  for (const DnsStatus status : {DnsStatus::server_failure, DnsStatus::timed_out, DnsStatus::cname_limit}) {
    const TlsPlan plan = decide(request(), absent(), {tlsa_failing(status)});
    EXPECT_FALSE(plan.mx[0].usable);
    EXPECT_EQ(plan.mx[0].finding, PlanFinding::tlsa_unknown);
    EXPECT_TRUE(plan.policy_forbids);
  }
  for (const DnsStatus status : {DnsStatus::no_data, DnsStatus::nx_domain}) {
    EXPECT_TRUE(one(request(), absent(), tlsa_failing(status)).requirement.cleartext_allowed);
  }
}

// Whether DANE applies is unknown, so that it does not apply cannot be assumed.
TEST(Decide, HostBehindAnAliasOfUnknownSecurityIsNotUsableNow) {
  for (const DnsStatus status : {DnsStatus::server_failure, DnsStatus::timed_out, DnsStatus::cname_limit}) {
    MxFacts f = facts();
    f.addresses.alias_status = status;
    PlanRequest unsigned_mx = request();
    unsigned_mx.mx.secure = false;
    EXPECT_TRUE(one(unsigned_mx, absent(), f).usable) << "who could hide it could forge the MX record";
    PlanRequest signed_mx = request();
    signed_mx.mx.secure = true;
    const TlsPlan plan = decide(signed_mx, absent(), {f});
    EXPECT_FALSE(plan.mx[0].usable);
    EXPECT_EQ(plan.mx[0].finding, PlanFinding::tlsa_unknown);
    EXPECT_NE(plan.mx[0].detail.find("alias mx.example.com"), std::string::npos);
    EXPECT_TRUE(plan.policy_forbids);
    PlanRequest watching = signed_mx;
    watching.dane_mode = PolicyMode::observe;
    EXPECT_TRUE(one(watching, absent(), f).usable);
  }
}

// Section 2 of RFC 8461: neither excuses the other. Invariant 18.
TEST(Decide, DaneAndMtaStsBothMustHold) {
  const MxPlan plan = one(request(), sts(StsMode::enforce), dane());
  EXPECT_TRUE(plan.requirement.pkix && plan.requirement.dane);
  EXPECT_EQ(types(plan), (std::vector<Type>{Type::sts, Type::tlsa}));
  EXPECT_FALSE(one(request(), sts(StsMode::enforce, {"other.example"}), dane()).usable);
  EXPECT_FALSE(one(request(), sts(StsMode::enforce), tlsa_failing(DnsStatus::timed_out)).usable);
  const MxPlan unusable = one(request(), sts(StsMode::enforce), dane({kUnusable}));
  EXPECT_EQ(unusable.requirement.level, TlsLevel::authenticated);
  EXPECT_EQ(unusable.requirement.pkix, PkixRequirement{kMx});
}

TEST(Decide, TestingPolicyBesideDaneIsWatched) {
  const MxPlan plan = one(request(), sts(StsMode::testing), dane());
  EXPECT_TRUE(plan.requirement.dane && plan.requirement.watch_pkix && !plan.requirement.pkix);
  EXPECT_EQ(types(plan), (std::vector<Type>{Type::sts, Type::tlsa}));
}

TEST(Decide, DaneObserveWatches) {
  PlanRequest r = request();
  r.dane_mode = PolicyMode::observe;
  MxPlan plan = one(r, absent(), dane());
  EXPECT_TRUE(plan.requirement.cleartext_allowed && plan.requirement.watch_dane && !plan.requirement.dane);
  EXPECT_EQ(plan.requirement.server_name, kMx);
  EXPECT_FALSE(plan.policies[0].enforced);
  plan = one(r, absent(), tlsa_failing(DnsStatus::server_failure));
  EXPECT_TRUE(plan.usable && plan.requirement.cleartext_allowed);
  EXPECT_EQ(plan.finding, PlanFinding::tlsa_unknown);
  EXPECT_TRUE(one(r, absent(), dane({kUnusable})).requirement.cleartext_allowed);
}

TEST(Decide, DaneOffIgnoresTlsa) {
  PlanRequest r = request();
  r.dane_mode = PolicyMode::off;
  const MxPlan plan = one(r, absent(), dane());
  EXPECT_TRUE(plan.requirement.cleartext_allowed && !plan.requirement.watch_dane);
  EXPECT_EQ(types(plan), std::vector<Type>{Type::none});
}

TEST(Decide, HostWithoutAKnownAddressIsNotUsable) {
  for (const DnsStatus status :
       {DnsStatus::server_failure, DnsStatus::timed_out, DnsStatus::no_data, DnsStatus::nx_domain}) {
    MxFacts f = facts();
    f.addresses.status = status;
    const TlsPlan plan = decide(request(), absent(), {f});
    EXPECT_FALSE(plan.mx[0].usable);
    EXPECT_EQ(plan.mx[0].finding, PlanFinding::address_unknown);
    EXPECT_FALSE(plan.policy_forbids);
  }
  EXPECT_FALSE(decide(request(), absent(), {}).mx[0].usable);  // no facts at all
}

}  // namespace
}  // namespace holdfast::decision
