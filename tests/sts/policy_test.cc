// MTA-STS policies and MX patterns, RFC 8461 sections 3.2 and 4.1; with the mistakes seen elsewhere.
#include "sts/policy.h"

#include <gtest/gtest.h>

#include "sts/sts_error.h"
#include "tests/fakes/domain.h"

namespace holdfast {
namespace {

constexpr char kSound[] =
    "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmax_age: 604800\r\n";

StsPolicy sound(const std::string& text) {
  auto policy = StsPolicy::parse(text);
  EXPECT_TRUE(policy) << (policy ? "" : policy.error().text()) << "\n" << text;
  return policy ? *policy : StsPolicy();
}
std::string fault(const std::string& text) {
  const auto policy = StsPolicy::parse(text);
  if (policy) return "";
  EXPECT_TRUE(policy.error().is(StsError::policy_invalid));
  return policy.error().detail;
}
bool matches(const std::string& pattern, const std::string& mx) {
  return mx_pattern_matches(pattern, domain(mx));
}

TEST(StsPolicy, IsReadWithEitherLineEnding) {
  const StsPolicy policy = sound(kSound);
  EXPECT_EQ(policy.mode, StsMode::enforce);
  EXPECT_EQ(policy.max_age, std::chrono::seconds(604800));
  EXPECT_EQ(policy.mx, (std::vector<std::string>{"mail.example.com", "*.example.net"}));
  EXPECT_EQ(policy.lines, (std::vector<std::string>{"version: STSv1", "mode: enforce", "mx: mail.example.com",
                                                    "mx: *.example.net", "max_age: 604800"}));
  std::string bare(kSound);
  std::erase(bare, '\r');
  EXPECT_EQ(sound(bare), policy);
  bare.pop_back();  // no line end at the end
  EXPECT_EQ(sound(bare), policy);
}

TEST(StsPolicy, FieldsMayComeInAnyOrderWithUnknownOnesBetween) {
  EXPECT_EQ(sound("max_age:1\nfoo: bar\nmx:a.example\nmode:testing\nversion:STSv1\n").mode, StsMode::testing);
}

// Seen elsewhere: `none` without mx refused, so that a domain cannot switch its policy off.
TEST(StsPolicy, NoneNeedsNoMx) {
  const StsPolicy policy = sound("version: STSv1\nmode: none\nmax_age: 86400\n");
  EXPECT_EQ(policy.mode, StsMode::none);
  EXPECT_TRUE(policy.mx.empty());
}

// Seen elsewhere: the largest max_age taken as one day.
TEST(StsPolicy, LargeMaxAgeIsTakenAsTheMaximum) {
  const std::string rest = "version: STSv1\nmode: none\nmax_age: ";
  EXPECT_EQ(sound(rest + "31557600").max_age.count(), 31557600);
  EXPECT_EQ(sound(rest + "31557601").max_age.count(), 31557600);
  EXPECT_EQ(sound(rest + "9999999999").max_age.count(), 31557600);
  EXPECT_EQ(sound(rest + "0").max_age.count(), 0);
  EXPECT_EQ(sound(rest + "0000000010").max_age.count(), 10);
}

TEST(StsPolicy, MaxAgeIsOneToTenDigits) {
  for (const std::string value : {"", "-1", "+1", "1.5", "1d", "10000000000", "00000000001", "0x10", "1 2"}) {
    EXPECT_NE(fault("version: STSv1\nmode: none\nmax_age: " + value + "\n"), "") << value;
  }
}

// Seen elsewhere: the last duplicate winning.
TEST(StsPolicy, FirstOfARepeatedKeyCounts) {
  const StsPolicy policy = sound(
      "version: STSv1\nversion: STSv2\nmode: enforce\nmode: none\nmode: junk\nmax_age: 10\nmax_age: x\nmx: "
      "a.example\n");
  EXPECT_EQ(policy.mode, StsMode::enforce);
  EXPECT_EQ(policy.max_age.count(), 10);
}

TEST(StsPolicy, MissingOrWrongFieldsMakeItInvalid) {
  EXPECT_EQ(fault(""), "no version");
  EXPECT_NE(fault("mode: none\nmax_age: 1\n"), "");
  EXPECT_NE(fault("version: STSv2\nmode: none\nmax_age: 1\n"), "");
  EXPECT_NE(fault("version: STSv1\nmax_age: 1\n"), "");
  EXPECT_NE(fault("version: STSv1\nmode: none\n"), "");
  EXPECT_EQ(fault("version: STSv1\nmode: Enforce\nmax_age: 1\nmx: a.example\n"),
            "line 2: mode is none of none, testing and enforce");
  EXPECT_NE(fault("<html><body>404: not found</body></html>"), "");
}

TEST(StsPolicy, WithoutAUsableMxIsInvalidRatherThanAnEmptyMatch) {
  for (const std::string mode : {"enforce", "testing"}) {
    EXPECT_NE(fault("version: STSv1\nmode: " + mode + "\nmax_age: 1\n"), "");
    for (const std::string mx : {"", "*", "*.", "*.*.example", "a.*.example", "f*.example", ".example",
                                 "192.0.2.1", "[192.0.2.1]", "a b.example", "a..example", "-a.example:25"}) {
      EXPECT_NE(fault("version: STSv1\nmode: " + mode + "\nmax_age: 1\nmx: " + mx + "\n"), "") << mx;
    }
  }
}

TEST(StsPolicy, UnusableMxBesideAUsableOneIsPassedOver) {
  EXPECT_EQ(sound("version: STSv1\nmode: enforce\nmax_age: 1\nmx: *\nmx: a.example\n").mx,
            (std::vector<std::string>{"a.example"}));
}

TEST(StsPolicy, NamesAreComparedAsALabelsInLowerCaseWithoutATrailingDot) {
  const StsPolicy policy =
      sound("version: STSv1\nmode: enforce\nmax_age: 1\nmx: MX.Bücher.Example.\nmx: *.ÉCOLE.example\n");
  EXPECT_EQ(policy.mx, (std::vector<std::string>{"mx.xn--bcher-kva.example", "*.xn--cole-9oa.example"}));
  EXPECT_TRUE(policy.matches(domain("mx.bücher.example")));
  EXPECT_TRUE(policy.matches(domain("MX1.xn--cole-9oa.EXAMPLE.")));
}

TEST(StsPolicy, LinesForReportsHoldNeitherControlCharactersNorBrokenUtf8) {
  const StsPolicy policy =
      sound(std::string("version: STSv1\nmode: none\nmax_age: 1\nx: a\x01\x7f\xff\xc3\xa9\xed\xa0\x80\n"));
  EXPECT_EQ(policy.lines.back(), "x: a???\xc3\xa9???");
}

TEST(StsPolicy, BlankLinesAndLinesWithoutAColonDoNotCostADomainItsPolicy) {
  EXPECT_EQ(sound("version: STSv1\n\n# our policy\nmode: enforce\nmx: a.example\nmax_age: 9\n \n\n").mode,
            StsMode::enforce);
}

TEST(StsPolicy, ReadsBackFromItsOwnLines) {
  const StsPolicy policy = sound(kSound);
  std::string text;
  for (const std::string& line : policy.lines) text += line + "\n";
  EXPECT_EQ(sound(text), policy);
}

// Invariant 23.
TEST(MxPattern, WildcardIsExactlyOneLabel) {
  EXPECT_TRUE(matches("*.example", "a.example"));
  EXPECT_FALSE(matches("*.example", "example"));
  EXPECT_FALSE(matches("*.example", "a.b.example"));
  EXPECT_FALSE(matches("*.example", "a.xexample"));
  EXPECT_FALSE(matches("*.b.example", "a.example"));
  EXPECT_TRUE(matches("*.b.example", "a.b.example"));
}

TEST(MxPattern, NameMatchesOnlyItself) {
  EXPECT_TRUE(matches("mx.example", "mx.example"));
  EXPECT_FALSE(matches("mx.example", "a.mx.example"));
  EXPECT_FALSE(matches("mx.example", "example"));
  EXPECT_FALSE(mx_pattern_matches("mx.example", DomainName()));
  EXPECT_FALSE(mx_pattern_matches("*.example", DomainName()));
}

// Every host of up to four labels over a small alphabet against every pattern, by counting labels.
TEST(MxPattern, AgreesWithALabelByLabelComparison) {
  const std::vector<std::string> labels{"a", "b"};
  std::vector<std::vector<std::string>> names{{}};
  for (std::size_t from = 0, depth = 0; depth < 4; ++depth) {
    const std::size_t to = names.size();
    for (; from < to; ++from) {
      for (const std::string& label : labels) {
        auto longer = names[from];
        longer.push_back(label);
        names.push_back(std::move(longer));
      }
    }
  }
  const auto text = [](const std::vector<std::string>& name) {
    std::string joined;
    for (const std::string& label : name) joined += (joined.empty() ? "" : ".") + label;
    return joined;
  };
  int matched = 0;
  for (const auto& suffix : names) {
    for (const auto& mx : names) {
      if (suffix.empty() || mx.empty()) continue;
      const bool expected =
          mx.size() == suffix.size() + 1 && std::equal(suffix.begin(), suffix.end(), mx.begin() + 1);
      EXPECT_EQ(matches("*." + text(suffix), text(mx)), expected);
      EXPECT_EQ(matches(text(suffix), text(mx)), suffix == mx);
      matched += expected;
    }
  }
  EXPECT_GT(matched, 10);
}

}  // namespace
}  // namespace holdfast
