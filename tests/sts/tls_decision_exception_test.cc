// decide(): exceptions, and one domain beside another.
#include <gtest/gtest.h>

#include "tests/sts/tls_decision_cases.h"

namespace holdfast::decision {
namespace {

TEST(Decide, BadCertificateExceptionKeepsTlsAndWatchesTheCertificate) {
  PlanRequest r = request();
  r.exceptions = {exception({Relaxation::bad_certificate})};
  const MxPlan plan = one(r, sts(StsMode::enforce), dane());
  EXPECT_EQ(plan.requirement.level, TlsLevel::encrypted);
  EXPECT_FALSE(plan.requirement.cleartext_allowed || plan.requirement.pkix || plan.requirement.dane);
  EXPECT_TRUE(plan.requirement.watch_pkix && plan.requirement.watch_dane);
  EXPECT_EQ(plan.finding, PlanFinding::exception_applied);
  EXPECT_NE(plan.detail.find("ticket 4711"), std::string::npos);
  for (const AppliedPolicy& policy : plan.policies) EXPECT_FALSE(policy.enforced);
}

TEST(Decide, NoStarttlsExceptionAllowsCleartext) {
  PlanRequest r = request();
  r.exceptions = {exception({Relaxation::no_starttls})};
  const MxPlan plan = one(r, sts(StsMode::enforce), facts());
  EXPECT_EQ(plan.requirement.level, TlsLevel::opportunistic);
  EXPECT_TRUE(plan.requirement.cleartext_allowed && plan.requirement.watch_pkix);
  r.route = RouteTlsDemand{RouteTls::required, true, TlsVersion::none};
  EXPECT_FALSE(one(r, absent(), facts()).requirement.cleartext_allowed);  // implicit TLS has no cleartext
}

TEST(Decide, ExceptionsHoldToTheEndOfTheirLastDay) {
  PlanRequest r = request();
  r.exceptions = {exception({Relaxation::no_starttls})};
  r.now = std::chrono::sys_days(std::chrono::year(2026) / 3 / 11) - std::chrono::microseconds(1);
  EXPECT_TRUE(one(r, sts(StsMode::enforce), facts()).requirement.cleartext_allowed);
  r.now += std::chrono::microseconds(1);
  EXPECT_FALSE(one(r, sts(StsMode::enforce), facts()).requirement.cleartext_allowed);
}

TEST(Decide, ExceptionsAreForTheirDomainOrMxOnly) {
  const auto applies = [](const std::string& domain, const std::string& mx) {
    PlanRequest r = request();
    ExceptionSettings e = exception({Relaxation::no_starttls});
    e.domain = domain;
    e.mx = mx;
    r.exceptions = {e};
    return one(r, sts(StsMode::enforce), facts()).requirement.cleartext_allowed;
  };
  EXPECT_TRUE(applies("Example.COM.", ""));
  EXPECT_TRUE(applies("", "mx.example.com"));
  EXPECT_FALSE(applies("sub.example.com", ""));
  EXPECT_FALSE(applies("com", ""));
  EXPECT_FALSE(applies("", "example.com"));
  EXPECT_FALSE(applies("", "mx2.example.com"));
  EXPECT_FALSE(applies("", ""));
  EXPECT_FALSE(applies("", "not a name!"));
}

TEST(Decide, ExceptionsNeverAdmitAnMxOutsideThePolicyNorAnUnknownTlsaSet) {
  PlanRequest r = request();
  r.exceptions = {exception({Relaxation::bad_certificate, Relaxation::no_starttls})};
  EXPECT_FALSE(one(r, sts(StsMode::enforce, {"other.example"}), facts()).usable);
  EXPECT_FALSE(one(r, sts(StsMode::enforce), tlsa_failing(DnsStatus::timed_out)).usable);
}

TEST(Decide, ExceptionThatLowersNothingIsNotNoted) {
  PlanRequest r = request();
  r.exceptions = {exception({Relaxation::bad_certificate, Relaxation::no_starttls})};
  EXPECT_EQ(one(r, absent(), facts()).finding, PlanFinding::none);
}

// Seen elsewhere: one domain's posture used for all domains behind the same MX. Invariant 17.
TEST(Decide, DomainsBehindTheSameMxAreDecidedEachByItsOwnPolicy) {
  PlanRequest other = request();
  other.next_hop = domain("other.example");
  EXPECT_TRUE(one(other, absent(), facts()).requirement.cleartext_allowed);
  EXPECT_FALSE(one(request(), sts(StsMode::enforce), facts()).requirement.cleartext_allowed);
}

}  // namespace
}  // namespace holdfast::decision
