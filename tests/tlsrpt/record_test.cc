#include "tlsrpt/record.h"

#include <gtest/gtest.h>

#include "smtp/base/base_error.h"

namespace holdfast {
namespace {

std::vector<std::string> uris(std::string_view text) {
  auto record = parse_tlsrpt_record(text);
  if (!record) return {"error: " + record.error().detail};
  std::vector<std::string> out;
  for (const auto& target : record->targets) out.push_back(target.uri());
  return out;
}
using Uris = std::vector<std::string>;

TEST(TlsrptRecord, TakesAListOfBothKindsOfTarget) {
  EXPECT_EQ(uris("v=TLSRPTv1; rua=mailto:tls@example.com, https://r.example.com/v1;"),
            (Uris{"mailto:tls@example.com", "https://r.example.com/v1"}));
}

TEST(TlsrptRecord, DecodesWhatTheGrammarForbidsInPlain) {
  EXPECT_EQ(uris("v=TLSRPTv1;rua=mailto:tls%21reports@example.com"),
            (Uris{"mailto:tls!reports@example.com"}));
}

TEST(TlsrptRecord, IgnoresHeaderFieldsOfAMailto) {
  EXPECT_EQ(uris("v=TLSRPTv1;rua=mailto:a@example.com?subject=x&bcc=evil@example.net"),
            (Uris{"mailto:a@example.com"}));
}

TEST(TlsrptRecord, SkipsUnknownSchemesAndUnusableAddresses) {
  EXPECT_EQ(uris("v=TLSRPTv1;rua=ftp://"
                 "x.example,mailto:nobody,mailto:a@[127.0.0.1],mailto:%zz@b.example,mailto:ok@b.example"),
            (Uris{"mailto:ok@b.example"}));
  EXPECT_EQ(uris("v=TLSRPTv1;rua=https\x1a//x.example,MailTo:ok@b.example"), (Uris{"mailto:ok@b.example"}));
}

TEST(TlsrptRecord, SkipsExtensionsAndTakesTheFirstRua) {
  EXPECT_EQ(uris("v=TLSRPTv1; x-ext=1 ; rua=mailto:a@b.example ; rua=mailto:c@d.example"),
            (Uris{"mailto:a@b.example"}));
}

TEST(TlsrptRecord, RefusesWhatBreaksTheGrammar) {
  EXPECT_FALSE(parse_tlsrpt_record("rua=mailto:a@b.example"));
  EXPECT_FALSE(parse_tlsrpt_record("v=TLSRPTv1"));
  EXPECT_FALSE(parse_tlsrpt_record("v=TLSRPTv1; nonsense; rua=mailto:a@b.example"));
  EXPECT_FALSE(parse_tlsrpt_record("v=TLSRPTv2; rua=mailto:a@b.example"));
}

TEST(TlsrptRecord, BoundsTheNumberOfTargets) {
  std::string text = "v=TLSRPTv1;rua=";
  for (int i = 0; i < 100; ++i) text += "mailto:a" + std::to_string(i) + "@b.example,";
  EXPECT_EQ(uris(text).size(), kMaxReportTargets);
}

TEST(TlsrptRecord, DropsStrayRecordsBeforeCounting) {
  auto found = find_tlsrpt_record({"some token", "v=spf1 -all", "v=TLSRPTv1;rua=mailto:a@b.example"});
  ASSERT_TRUE(found) << found.error().text();
  ASSERT_TRUE(*found);
  EXPECT_EQ((*found)->targets.size(), 1u);
}

// RFC 8460 section 3: what does not begin with "v=TLSRPTv1;" is dropped before the records are counted.
TEST(TlsrptRecord, OneThatOnlyLooksLikeItNeitherDisablesASoundOneNorCompetes) {
  for (const std::string odd :
       {"v=TLSRPTv1", "v=TLSRPTv1 rua=mailto:x@b.example", "v=TLSRPTv10; rua=mailto:x@b.example",
        " v=TLSRPTv1; rua=mailto:x@b.example", "v=TLSRPTv1 ; rua=mailto:x@b.example"}) {
    const auto found = find_tlsrpt_record({odd, "v=TLSRPTv1;rua=mailto:a@b.example", odd});
    ASSERT_TRUE(found) << odd << ": " << found.error().text();
    ASSERT_TRUE(*found) << odd;
    EXPECT_EQ((*found)->targets[0].address, "a@b.example") << odd;
  }
}

TEST(TlsrptRecord, WhiteSpaceAroundItsVersionLeavesNoDomainWithoutReports) {
  for (const std::string odd :
       {" v=TLSRPTv1; rua=mailto:a@b.example", "v=TLSRPTv1\t; rua=mailto:a@b.example"}) {
    const auto found = find_tlsrpt_record({odd});
    ASSERT_TRUE(found && *found) << odd;
    EXPECT_EQ((*found)->targets.size(), 1u) << odd;
  }
}

TEST(TlsrptRecord, HasNoneWhereNoneIsOfTheVersion) {
  auto found = find_tlsrpt_record({"v=spf1 -all"});
  ASSERT_TRUE(found);
  EXPECT_FALSE(*found);
}

TEST(TlsrptRecord, RefusesSeveral) {
  auto found = find_tlsrpt_record({"v=TLSRPTv1;rua=mailto:a@b.example", "v=TLSRPTv1;rua=mailto:c@b.example"});
  ASSERT_FALSE(found);
  EXPECT_TRUE(found.error().is(BaseError::malformed));
}

}  // namespace
}  // namespace holdfast
