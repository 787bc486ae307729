#include "tlsrpt/report_json.h"

#include <gtest/gtest.h>

#include "tests/fakes/run.h"
#include "tests/fakes/zone_resolver.h"
#include "tlsrpt/preview.h"
#include "tlsrpt/result_type.h"

namespace holdfast {
namespace {

Report sample() {
  Report report;
  report.organization = "Relay \"Ltd\"";
  report.contact = "tls@relay.test";
  report.report_id = "20260314.a.test@relay.test";
  report.day = std::chrono::sys_days(std::chrono::year(2026) / 3 / 14);
  report.domain = DomainName::parse("a.test").value();
  ReportedPolicy sts;
  sts.type = "sts";
  sts.text = {"version: STSv1", "mode: enforce"};
  sts.domain = "a.test";
  sts.mx = {"*.a.test"};
  sts.successful = 2;
  sts.failed = 1;
  FailureDetails failure;
  failure.result = ResultType::certificate_host_mismatch;
  failure.receiving_mx_hostname = "mx.a.test";
  failure.failed_sessions = 1;
  sts.failures = {failure};
  report.policies = {sts};
  return report;
}

TEST(ReportJson, HasTheFieldsOfTheRfc) {
  EXPECT_EQ(
      report_json(sample()),
      R"({"organization-name":"Relay \"Ltd\"","date-range":{"start-datetime":"2026-03-14T00:00:00Z",)"
      R"("end-datetime":"2026-03-14T23:59:59Z"},"contact-info":"tls@relay.test",)"
      R"("report-id":"20260314.a.test@relay.test","policies":[{"policy":{"policy-type":"sts",)"
      R"("policy-string":["version: STSv1","mode: enforce"],"policy-domain":"a.test","mx-host":["*.a.test"]},)"
      R"("summary":{"total-successful-session-count":2,"total-failure-session-count":1},)"
      R"("failure-details":[{"result-type":"certificate-host-mismatch","receiving-mx-hostname":"mx.a.test",)"
      R"("failed-session-count":1}]}]})");
}

TEST(ReportJson, HasNoPolicyStringWhereNoPolicyWasFound) {
  Report report = sample();
  report.policies[0] = ReportedPolicy();
  report.policies[0].type = "no-policy-found";
  report.policies[0].domain = "a.test";
  EXPECT_EQ(report_json(report).find("policy-string"), std::string::npos);
}

TEST(ReportJson, PreviewNamesTheTargets) {
  const auto line = preview_json(sample(), {{ReportTarget::Kind::mailto, "x@a.test"}}, "");
  EXPECT_TRUE(line.starts_with(
      R"({"schema":1,"domain":"a.test","day":"2026-03-14","targets":["mailto:x@a.test"],"report":{"organization-name")"))
      << line;
  EXPECT_EQ(line.find('\n'), std::string::npos);
}

TEST(ResultTypes, MapWhatWentWrongToTheRfcsWords) {
  TlsFailure failure;
  const auto type = [&failure](TlsError error, AppliedPolicy::Type policy = AppliedPolicy::Type::sts) {
    failure.error = error;
    return std::string(name(result_type_of(failure, policy)));
  };
  EXPECT_EQ(type(TlsError::not_offered), "starttls-not-supported");
  EXPECT_EQ(type(TlsError::refused), "starttls-not-supported");
  EXPECT_EQ(type(TlsError::host_mismatch), "certificate-host-mismatch");
  EXPECT_EQ(type(TlsError::expired), "certificate-expired");
  EXPECT_EQ(type(TlsError::untrusted), "certificate-not-trusted");
  EXPECT_EQ(type(TlsError::protocol), "validation-failure");
  EXPECT_EQ(type(TlsError::tlsa_mismatch, AppliedPolicy::Type::tlsa), "validation-failure");
  EXPECT_EQ(type(TlsError::tlsa_unusable, AppliedPolicy::Type::tlsa), "tlsa-invalid");
  EXPECT_EQ(std::string(name(result_type_of(PlanFinding::mx_not_in_policy))), "validation-failure");
  EXPECT_EQ(std::string(name(result_type_of(PlanFinding::tlsa_unknown))), "dnssec-invalid");
  EXPECT_EQ(std::string(name(result_type_of(StsError::tls_failed))), "sts-webpki-invalid");
  EXPECT_EQ(std::string(name(result_type_of(StsError::policy_invalid))), "sts-policy-invalid");
  EXPECT_EQ(std::string(name(result_type_of(StsError::http_status))), "sts-policy-fetch-error");
}

}  // namespace
}  // namespace holdfast
