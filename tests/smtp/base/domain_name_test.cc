#include "smtp/base/domain_name.h"

#include <gtest/gtest.h>

#include "smtp/base/base_error.h"

namespace holdfast {
namespace {

std::string parsed(std::string_view text) {
  const auto name = DomainName::parse(text);
  return name ? name->text() : "refused: " + name.error().detail;
}

bool refused(std::string_view text) {
  const auto name = DomainName::parse(text);
  return !name && name.error().is(BaseError::malformed) && !name.error().detail.empty();
}

TEST(DomainName, IsLowerCaseWithoutATrailingDot) {
  EXPECT_EQ(parsed("MX.Example.ORG."), "mx.example.org");
  EXPECT_EQ(parsed("localhost"), "localhost");
  EXPECT_EQ(parsed("_25._tcp.mx.example"), "_25._tcp.mx.example");
  EXPECT_EQ(parsed("xn--bcher-kva.example"), "xn--bcher-kva.example");
}

TEST(DomainName, BecomesALabelsByIdna2008) {
  EXPECT_EQ(parsed("Bücher.example"), "xn--bcher-kva.example");
  EXPECT_EQ(parsed("straße.example"), "xn--strae-oqa.example");  // IDNA 2003 would say "strasse"
  EXPECT_EQ(parsed("bu\xcc\x88"
                   "cher.example"),
            "xn--bcher-kva.example");  // decomposed
}

TEST(DomainName, RefusesWhatIsNoName) {
  for (const char* text : {"", ".", "a..b", ".a", "a..", "a b", "a\tb", "-a.example", "a-.example", "a@b",
                           "[::1]", "*.example"}) {
    EXPECT_TRUE(refused(text)) << text;
  }
  EXPECT_TRUE(refused(std::string_view("a\0b", 3)));
  EXPECT_TRUE(refused("\xff\xfe.example"));
}

TEST(DomainName, RefusesIpv4Addresses) {
  EXPECT_TRUE(refused("192.0.2.1"));
  EXPECT_TRUE(refused("192.0.2.1."));
  EXPECT_TRUE(refused("mx.1"));
  EXPECT_EQ(parsed("1.2.0.192.in-addr.arpa"), "1.2.0.192.in-addr.arpa");
}

TEST(DomainName, RefusesLabelsAndNamesThatAreTooLong) {
  const std::string label(63, 'a');
  EXPECT_FALSE(refused(label + ".example"));
  EXPECT_TRUE(refused(label + "a.example"));
  const std::string longest = label + "." + label + "." + label + "." + std::string(61, 'b');
  EXPECT_EQ(longest.size(), 253U);
  EXPECT_FALSE(refused(longest));
  EXPECT_TRUE(refused(longest + "b"));
  EXPECT_TRUE(refused(std::string(5000, 'a')));
  std::string wide;
  for (int i = 0; i < 600; ++i) wide += "ü";
  EXPECT_TRUE(refused(wide));
}

TEST(DomainName, KnowsWhatItIsWithin) {
  const auto domain = *DomainName::parse("b.example");
  EXPECT_TRUE(DomainName::parse("a.b.example")->is_within(domain));
  EXPECT_TRUE(domain.is_within(domain));
  EXPECT_FALSE(DomainName::parse("ab.example")->is_within(domain));
  EXPECT_FALSE(DomainName::parse("example")->is_within(domain));
  EXPECT_FALSE(domain.is_within(DomainName()));
}

}  // namespace
}  // namespace holdfast
