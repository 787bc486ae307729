// The pure parts of `holdfast check`: hints, and what a result looks like when peers send what they should
// not.
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "mta/check_domain.h"

namespace holdfast {
namespace {

MxPlan plan_for(const char* host) {
  MxPlan plan;
  plan.mx.name = DomainName::parse(host).value();
  return plan;
}

TEST(CheckHint, NamesTheHostForEveryFailureOfTls) {
  const MxPlan plan = plan_for("mx.a.example");
  EXPECT_EQ(hint_for(plan, nullptr), "");
  for (int error = 1; error <= static_cast<int>(TlsError::requiretls_missing); ++error) {
    OpenResult opened;
    opened.tls_failure.error = static_cast<TlsError>(error);
    EXPECT_NE(hint_for(plan, &opened).find("mx.a.example"), std::string::npos) << error;
  }
}

TEST(CheckHint, SaysWhatToDoAboutAnMxThatThePlanExcludes) {
  MxPlan plan = plan_for("mx.a.example");
  for (const PlanFinding finding : {PlanFinding::mx_not_in_policy, PlanFinding::tlsa_unknown,
                                    PlanFinding::address_unknown, PlanFinding::tlsa_all_unusable}) {
    plan.finding = finding;
    EXPECT_NE(hint_for(plan, nullptr).find("mx.a.example"), std::string::npos) << describe(finding);
  }
}

TEST(CheckHint, HasNothingToSayAboutAVerifiedSession) {
  MxPlan plan = plan_for("mx.a.example");
  AppliedPolicy sts;
  sts.type = AppliedPolicy::Type::sts;
  sts.mode = StsMode::enforce;
  sts.text = {"version: STSv1"};
  plan.policies.push_back(sts);
  OpenResult opened;
  opened.evidence.version = TlsVersion::tls13;
  opened.evidence.pkix.emplace();
  EXPECT_EQ(hint_for(plan, &opened), "");
  opened.evidence.pkix.reset();
  opened.evidence.pkix_failure.error = TlsError::expired;
  EXPECT_EQ(hint_for(plan, &opened), "renew the certificate of mx.a.example");
}

TEST(CheckJson, StaysOneLineOfUtf8WhateverPeersSend) {
  CheckResult result;
  result.domain = DomainName::parse("a.example").value();
  SeenAnswer seen;
  seen.name = "a.example";
  seen.type = RecordType::txt;
  seen.answer.status = DnsStatus::ok;
  seen.answer.records.emplace_back(std::string("v=\xff\r\n\x1b[2J"));
  result.records.push_back(seen);
  CheckedMx mx;
  mx.plan = plan_for("mx.a.example");
  CheckedAddress address;
  address.ip = *parse_ip("192.0.2.1");
  address.opened.helo = "evil\xfe\n";
  address.opened.transcript = {"S: 220 \xc3\n"};
  mx.addresses.push_back(std::move(address));
  result.hops.emplace_back().mx.push_back(std::move(mx));
  const std::string line = check_json(result);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  boost::system::error_code code;
  const auto value = boost::json::parse(line, code);
  ASSERT_FALSE(code) << code.message() << "\n" << line;
  EXPECT_EQ(value.at("records").at(0).at("data").at(0).as_string(), "v=?   [2J");
  EXPECT_EQ(value.at("verdict").as_string(), "held");
}

TEST(CheckJson, HasTheMembersThatProgramsRelyOn) {
  CheckResult result;
  result.domain = DomainName::parse("a.example").value();
  const auto value = boost::json::parse(check_json(result));
  for (const char* member : {"schema", "domain", "policy", "mx", "verdict", "tlsrpt"})
    EXPECT_TRUE(value.as_object().contains(member)) << member;
}

}  // namespace
}  // namespace holdfast
