#include "smtp/server/authenticator.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

bool may(const char* pattern, const char* address) { return may_send_as({pattern}, address); }

TEST(MaySendAs, ComparesWholeAddresses) {
  EXPECT_TRUE(may("app@example.com", "app@example.com"));
  EXPECT_TRUE(may("App@Example.COM", "aPP@example.com"));
  EXPECT_TRUE(may("\"app\"@example.com", "app@example.com"));
  EXPECT_FALSE(may("app@example.com", "app2@example.com"));
  EXPECT_FALSE(may("app@example.com", "app@sub.example.com"));
  EXPECT_FALSE(may("app@example.com", "app@example.org"));
}

TEST(MaySendAs, TakesADomainWithoutItsSubdomains) {
  EXPECT_TRUE(may("@example.com", "any.one@example.com"));
  EXPECT_TRUE(may("@EXAMPLE.com", "a@example.COM"));
  EXPECT_FALSE(may("@example.com", "a@sub.example.com"));
  EXPECT_FALSE(may("@example.com", "a@notexample.com"));
  EXPECT_FALSE(may("@example.com", "\"a@example.com\"@evil.example"));
}

TEST(MaySendAs, TakesSubdomainsWithoutTheDomain) {
  EXPECT_TRUE(may("@.example.com", "a@sub.example.com"));
  EXPECT_TRUE(may("@.example.com", "a@deep.sub.example.com"));
  EXPECT_FALSE(may("@.example.com", "a@example.com"));
  EXPECT_FALSE(may("@.example.com", "a@subexample.com"));
}

TEST(MaySendAs, ComparesDomainsAsALabels) {
  EXPECT_TRUE(may("@b\xC3\xBC\x63her.example", "a@xn--bcher-kva.example"));
  EXPECT_TRUE(may("@xn--bcher-kva.example", "a@B\xC3\xBC\x63HER.example"));
}

TEST(MaySendAs, TakesAnythingByAStarAndNothingByNothing) {
  EXPECT_TRUE(may("*", "a@b.example"));
  EXPECT_FALSE(may("*", "no address"));
  EXPECT_FALSE(may("", "a@b.example"));
  EXPECT_FALSE(may("@", "a@b.example"));
  EXPECT_FALSE(may_send_as({}, "a@b.example"));
  EXPECT_TRUE(may_send_as({"x@y.example", "@b.example"}, "a@b.example"));
}

TEST(MaySendAs, KnowsAddressLiterals) {
  EXPECT_TRUE(may("@[192.0.2.1]", "a@[192.0.2.1]"));
  EXPECT_FALSE(may("@[192.0.2.1]", "a@[192.0.2.2]"));
  EXPECT_FALSE(may("@.example.com", "a@[192.0.2.1]"));
}

}  // namespace
}  // namespace holdfast
