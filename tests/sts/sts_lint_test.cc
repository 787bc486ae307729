// Mistakes in one's own MTA-STS set-up.
#include "sts/sts_lint.h"

#include <gtest/gtest.h>

#include "sts/record.h"
#include "tests/fakes/domain.h"

namespace holdfast {
namespace {

using Severity = LintFinding::Severity;

std::string findings(const LintInput& input) {
  std::string text;
  for (const LintFinding& finding : lint_sts(input)) {
    text += std::string(name(finding.severity)) + " " + finding.where + ": " + finding.text + "\n";
  }
  return text;
}
std::string of_record(std::vector<std::string> txt) {
  return findings({.txt = std::move(txt), .policy = {}, .mx = {}});
}
std::string of_policy(std::string policy, std::optional<std::vector<DomainName>> mx = {}) {
  return findings({.txt = {}, .policy = std::move(policy), .mx = std::move(mx)});
}
const std::string kSoundPolicy =
    "version: STSv1\r\nmode: enforce\r\nmx: mx.example.com\r\nmax_age: 2592000\r\n";

TEST(StsLint, HasNothingToSayOfASoundSetup) {
  EXPECT_EQ(of_record({"v=STSv1; id=1;"}), "");
  EXPECT_EQ(of_policy(kSoundPolicy, std::vector<DomainName>{domain("mx.example.com")}), "");
}

TEST(StsLint, FindsMistakesInTheRecord) {
  EXPECT_NE(of_record({}).find("error record"), std::string::npos);
  EXPECT_NE(of_record({"v=STSv1; id=a-b"}).find("error record"), std::string::npos);
  EXPECT_NE(of_record({"v=STSv1; id=1", "v=STSv1; id=2"}).find("2 records"), std::string::npos);
  EXPECT_NE(of_record({"v=STSv1; id=1", "v=spf1 -all"}).find("warning record: 1 other"), std::string::npos);
  EXPECT_NE(of_record({"v=STSv1 ; id=1"}).find("warning record: white space"), std::string::npos);
}

TEST(StsLint, FindsMistakesInThePolicy) {
  EXPECT_NE(of_policy("version: STSv1\nmode: enforce\nmax_age: 2592000\n").find("error policy: no usable mx"),
            std::string::npos);
  EXPECT_NE(of_policy(kSoundPolicy + "mx: *\r\n").find("error policy line 5"), std::string::npos);
  EXPECT_NE(of_policy(kSoundPolicy + "mx: MX.example.com.\r\n").find("hint policy line 5: the same mx"),
            std::string::npos);
  EXPECT_NE(of_policy(kSoundPolicy + "mode: none\r\n").find("warning policy line 5: a second \"mode\""),
            std::string::npos);
  EXPECT_NE(of_policy(kSoundPolicy + "# ours\r\n").find("warning policy line 5"), std::string::npos);
  EXPECT_NE(of_policy(kSoundPolicy + "foo: bar\r\n").find("hint policy line 5: unknown key \"foo\""),
            std::string::npos);
  EXPECT_NE(of_policy("\xef\xbb\xbf" + kSoundPolicy).find("byte order mark"), std::string::npos);
  EXPECT_NE(of_policy("version: STSv1\nmode: testing\nmx: a.example\nmax_age: 60\n").find("less than a day"),
            std::string::npos);
  EXPECT_NE(of_policy("version: STSv1\nmode: none\nmax_age: 9999999999\n").find("maximum"),
            std::string::npos);
}

TEST(StsLint, ComparesPolicyAndMxSet) {
  const std::vector<DomainName> mx{domain("mx.example.com"), domain("mx2.example.com")};
  EXPECT_NE(of_policy(kSoundPolicy, mx).find("error mx: mx2.example.com"), std::string::npos);
  EXPECT_NE(of_policy(kSoundPolicy + "mx: old.example.com\r\n", mx).find("hint mx: old.example.com"),
            std::string::npos);
  EXPECT_EQ(of_policy("version: STSv1\nmode: none\nmax_age: 2592000\n", mx), "");
}

TEST(StsLint, WhatItGeneratesIsSound) {
  const WallTime now = std::chrono::sys_days(std::chrono::year(2026) / 3 / 4) + std::chrono::seconds(3661);
  const std::vector<DomainName> mx{domain("mx1.example.com"), domain("mx2.example.com")};
  const StsSetup setup =
      generate_sts(domain("example.com"), StsMode::enforce, mx, std::chrono::seconds(2592000), now);
  EXPECT_EQ(setup.record, "v=STSv1; id=20260304010101Z;");
  EXPECT_EQ(findings({.txt = std::vector<std::string>{setup.record}, .policy = setup.policy, .mx = mx}), "");
  ASSERT_EQ(setup.zone.size(), 4u);
  EXPECT_EQ(setup.zone[0], "_mta-sts.example.com. 3600 IN TXT \"v=STSv1; id=20260304010101Z;\"");
  const StsSetup off =
      generate_sts(domain("example.com"), StsMode::none, {}, std::chrono::seconds(2592000), now);
  EXPECT_EQ(StsPolicy::parse(off.policy)->mode, StsMode::none);
}

}  // namespace
}  // namespace holdfast
