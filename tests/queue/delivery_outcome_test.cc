#include "queue/delivery_outcome.h"
#include "tests/fakes/domain.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

using Type = AppliedPolicy::Type;

AppliedPolicy sts(StsMode mode, bool enforced) {
  AppliedPolicy p;
  p.type = Type::sts;
  p.policy_domain = domain("a.example");
  p.text = {"version: STSv1"};
  p.mx = {"mx.a.example"};
  p.mode = mode;
  p.enforced = enforced;
  return p;
}

AppliedPolicy tlsa() {
  AppliedPolicy p;
  p.type = Type::tlsa;
  p.policy_domain = domain("mx.a.example");
  p.text = {"3 1 1 00"};
  p.enforced = true;
  return p;
}

MxPlan plan(std::vector<AppliedPolicy> policies) {
  MxPlan mx;
  mx.mx.name = domain("mx.a.example");
  mx.policies = std::move(policies);
  for (const AppliedPolicy& p : mx.policies)
    if (p.type == Type::tlsa) mx.requirement.dane.emplace();
  return mx;
}

SessionFacts facts(TlsError error = TlsError::none) {
  SessionFacts f;
  f.at = std::chrono::sys_days(std::chrono::year(2026) / 3 / 1) + std::chrono::hours(23);
  f.report_domain = domain("a.example");
  f.sending_ip = "192.0.2.9";
  f.receiving_ip = "192.0.2.1";
  f.failure.error = error;
  f.failure.detail = "why";
  return f;
}

TEST(DeliveryOutcome, CountsASessionWithoutPolicyAsNone) {
  const auto out = session_outcomes(plan({}), facts());
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].policy.type, Type::none);
  EXPECT_EQ(out[0].policy.policy_domain, domain("a.example"));
  EXPECT_EQ(out[0].result, ResultType::success);
  EXPECT_EQ(out[0].day, std::chrono::sys_days(std::chrono::year(2026) / 3 / 1));
  EXPECT_EQ(out[0].sending_ip, "") << "addresses belong to failures";
}

TEST(DeliveryOutcome, CountsUnderEachPolicyThatWasApplied) {
  const auto out = session_outcomes(plan({sts(StsMode::enforce, true), tlsa()}), facts());
  ASSERT_EQ(out.size(), 2U);
  EXPECT_EQ(out[0].result, ResultType::success);
  EXPECT_EQ(out[1].result, ResultType::success);
}

TEST(DeliveryOutcome, ARefusedStarttlsFailsUnderEachPolicy) {
  const auto out =
      session_outcomes(plan({sts(StsMode::enforce, true), tlsa()}), facts(TlsError::not_offered));
  ASSERT_EQ(out.size(), 2U);
  for (const auto& o : out) {
    EXPECT_EQ(o.result, ResultType::starttls_not_supported);
    EXPECT_EQ(o.mx_host, "mx.a.example");
    EXPECT_EQ(o.receiving_ip, "192.0.2.1");
  }
}

TEST(DeliveryOutcome, EachFailureGoesUnderItsOwnPolicy) {
  SessionFacts f = facts(TlsError::tlsa_mismatch);
  f.evidence.dane_failure.error = TlsError::tlsa_mismatch;
  f.evidence.pkix = PkixRequirement{domain("mx.a.example")};
  const auto out = session_outcomes(plan({sts(StsMode::enforce, true), tlsa()}), f);
  ASSERT_EQ(out.size(), 2U);
  EXPECT_EQ(out[0].result, ResultType::success) << "the certificate was what MTA-STS asks for";
  EXPECT_EQ(out[1].result, ResultType::validation_failure);

  SessionFacts g = facts(TlsError::host_mismatch);
  g.evidence.pkix_failure.error = TlsError::host_mismatch;
  g.evidence.dane = DaneRequirement{};
  const auto other = session_outcomes(plan({sts(StsMode::enforce, true), tlsa()}), g);
  EXPECT_EQ(other[0].result, ResultType::certificate_host_mismatch);
  EXPECT_EQ(other[1].result, ResultType::success);
}

TEST(DeliveryOutcome, TestingCountsWhatEnforceWouldHaveRefused) {
  SessionFacts f = facts();
  f.evidence.version = TlsVersion::tls13;
  f.evidence.pkix_failure.error = TlsError::expired;
  const auto out = session_outcomes(plan({sts(StsMode::testing, false)}), f);
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].result, ResultType::certificate_expired);
}

TEST(DeliveryOutcome, AnMxOutsideATestingPolicyIsAValidationFailure) {
  MxPlan mx = plan({sts(StsMode::testing, false)});
  mx.finding = PlanFinding::mx_not_in_policy;
  const auto out = session_outcomes(mx, facts());
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].result, ResultType::validation_failure);
  EXPECT_EQ(out[0].reason_code, "mx-not-in-policy");
}

TEST(DeliveryOutcome, AnMxOutsideAnEnforcePolicyCountsOnceUnderIt) {
  MxPlan mx = plan({sts(StsMode::enforce, true), tlsa()});
  mx.usable = false;
  mx.finding = PlanFinding::mx_not_in_policy;
  mx.detail = "it is not listed";
  const auto out = refused_mx_outcomes(mx, domain("a.example"), facts().at);
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].policy.type, Type::sts);
  EXPECT_EQ(out[0].result, ResultType::validation_failure);
  EXPECT_EQ(out[0].additional_information, "it is not listed");
}

TEST(DeliveryOutcome, AnUnknownTlsaSetCountsUnderDane) {
  MxPlan mx = plan({sts(StsMode::enforce, true), tlsa()});
  mx.usable = false;
  mx.finding = PlanFinding::tlsa_unknown;
  const auto out = refused_mx_outcomes(mx, domain("a.example"), facts().at);
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].policy.type, Type::tlsa);
}

// RFC 8460 section 4.3.2: TLS went on, but the domain's records authenticate nothing.
TEST(DeliveryOutcome, ATlsaSetThatIsWhollyUnusableIsInvalidThoughTheSessionWentOn) {
  for (const PlanFinding first : {PlanFinding::tlsa_all_unusable, PlanFinding::sts_fetch_failed}) {
    MxPlan mx = plan({sts(StsMode::enforce, true), tlsa()});
    mx.finding = first;
    mx.requirement.dane.reset();
    const auto out = session_outcomes(mx, facts());
    ASSERT_EQ(out.size(), 2U);
    EXPECT_EQ(out[0].result, ResultType::success);
    EXPECT_EQ(out[1].result, ResultType::tlsa_invalid);
    EXPECT_EQ(out[1].mx_host, "mx.a.example");
    EXPECT_EQ(out[1].receiving_ip, "192.0.2.1");
  }
}

// Without authentication to fail, what failed is TLS itself.
TEST(DeliveryOutcome, AFailureOfTlsGoesBeforeAnUnusableTlsaSet) {
  MxPlan mx = plan({tlsa()});
  mx.requirement.dane.reset();
  const auto out = session_outcomes(mx, facts(TlsError::not_offered));
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].result, ResultType::starttls_not_supported);
}

TEST(DeliveryOutcome, AnUnusableTlsaSetIsNothingThatEnforcingWouldHaveRefused) {
  AppliedPolicy watched = tlsa();
  watched.enforced = false;
  MxPlan mx = plan({watched});
  mx.requirement.dane.reset();
  mx.finding = PlanFinding::tlsa_all_unusable;
  EXPECT_EQ(overlooked(mx, session_outcomes(mx, facts())), ResultType::success);
}

TEST(DeliveryOutcome, APolicyThatCouldNotBeHadCountsAsStsWithEmptyText) {
  AppliedPolicy missing;
  missing.type = Type::sts;
  missing.policy_domain = domain("a.example");
  SessionFacts f = facts();
  f.sts_fetch_failure = StsError::tls_failed;
  const auto out = session_outcomes(plan({missing}), f);
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].result, ResultType::sts_webpki_invalid);
  EXPECT_TRUE(out[0].policy.text.empty());
}

TEST(DeliveryOutcome, NobodyIsToldOfAddressLiterals) {
  SessionFacts f = facts();
  f.report_domain = DomainName();
  EXPECT_TRUE(session_outcomes(plan({}), f).empty());
}

TEST(DeliveryOutcome, AMissingRequiretlsIsNoFailureOfTheDomainsPolicy) {
  const auto out = session_outcomes(plan({sts(StsMode::enforce, true)}), facts(TlsError::requiretls_missing));
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].result, ResultType::success);
}

}  // namespace
}  // namespace holdfast
