#include "smtp/wire/address.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "smtp/base/base_error.h"

namespace holdfast {
namespace {

std::string parsed(std::string_view text) {
  const auto mailbox = Mailbox::parse(text);
  if (mailbox) return mailbox->text();
  return "refused";
}

TEST(Mailbox, LowersTheDomainAndKeepsTheLocalPart) {
  EXPECT_EQ(parsed("Some.One+tag@EXAMPLE.Com"), "Some.One+tag@example.com");
  EXPECT_EQ(parsed("a!#$%&'*+-/=?^_`{|}~z@b.example"), "a!#$%&'*+-/=?^_`{|}~z@b.example");
}

TEST(Mailbox, KeepsQuotesOnlyWhereTheyAreNeeded) {
  EXPECT_EQ(parsed("\"odd name\"@example.com"), "\"odd name\"@example.com");
  EXPECT_EQ(parsed("\"user\"@example.com"), "user@example.com");
  EXPECT_EQ(parsed("\"u\\s\\er\"@example.com"), "user@example.com");
  EXPECT_EQ(parsed("\"a@b\"@example.com"), "\"a@b\"@example.com");
  EXPECT_EQ(parsed("\"a\\\"b\\\\c\"@example.com"), "\"a\\\"b\\\\c\"@example.com");
  EXPECT_EQ(parsed("\"\"@example.com"), "\"\"@example.com");
  EXPECT_EQ(parsed("\"a..b\"@example.com"), "\"a..b\"@example.com");
}

TEST(Mailbox, TakesInternationalisedAddresses) {
  EXPECT_EQ(parsed("gr\xC3\xBC\xC3\x9F@b\xC3\xBC\x63her.example"),
            "gr\xC3\xBC\xC3\x9F@xn--bcher-kva.example");
  EXPECT_TRUE(Mailbox::parse("\xC3\xBC@example.com")->needs_smtputf8());
  EXPECT_FALSE(Mailbox::parse("u@b\xC3\xBC\x63her.example")->needs_smtputf8());
}

TEST(Mailbox, ValidatesAddressLiterals) {
  EXPECT_EQ(parsed("u@[192.0.2.1]"), "u@[192.0.2.1]");
  EXPECT_EQ(parsed("u@[IPv6:2001:DB8:0:0::1]"), "u@[IPv6:2001:db8::1]");
  EXPECT_EQ(parsed("u@[ipv6:::1]"), "u@[IPv6:::1]");
  EXPECT_TRUE(Mailbox::parse("u@[192.0.2.1]")->is_literal());
  for (const char* text : {"u@[192.0.2]", "u@[192.0.2.256]", "u@[2001:db8::1]", "u@[IPv6:192.0.2.1]",
                           "u@[IPv6:]", "u@[]", "u@[192.0.2.1", "u@[192.0.2.1]x", "u@[tag:x]", "u@["}) {
    EXPECT_FALSE(Mailbox::parse(text)) << text;
  }
}

// 0x16 and 0x1A are '6' and ':' but for the bit that tells lower case from upper case in letters.
TEST(Mailbox, TakesNoControlCharacterForAPartOfTheTagIpv6) {
  for (const char* text : {"u@[IPv\x16:2001:db8::1]",
                           "u@[IPv6\x1A"
                           "2001:db8::1]"})
    EXPECT_EQ(parsed(text), "refused");
}

TEST(Mailbox, RefusesWhatIsMalformedAndSaysWhy) {
  for (const char* text : {"",
                           "@",
                           "user",
                           "user@",
                           "@example.com",
                           ".user@example.com",
                           "user.@example.com",
                           "us..er@example.com",
                           "us er@example.com",
                           "us\"er@example.com",
                           "\"user@example.com",
                           "\"us\"er@example.com",
                           "\"us\\\"@example.com",
                           "us(er)@example.com",
                           "us<er@example.com",
                           "user@exa mple.com",
                           "user@example..com",
                           "user@-",
                           "user@192.0.2.1",
                           "a@b@example.com",
                           "@relay:user@example.com",
                           "us\x01"
                           "er@example.com",
                           "\"us\ter\"@example.com",
                           "\xFF@example.com",
                           "\xC2\x85@example.com",
                           "user@exa\xFFmple.com",
                           "user@example.com>",
                           "user@example.com,x@y.example"}) {
    auto mailbox = Mailbox::parse(text);
    ASSERT_FALSE(mailbox) << text;
    EXPECT_TRUE(mailbox.error().is(BaseError::malformed)) << text;
    EXPECT_NE(mailbox.error().detail, "") << text;
  }
}

TEST(Mailbox, BoundsItsLengths) {
  const auto sized = [](std::size_t local, std::string_view domain) {
    return Mailbox::parse(fmt::format("{:a>{}}@{}", "", local, domain)).has_value();
  };
  EXPECT_TRUE(sized(64, "example.com"));
  EXPECT_FALSE(sized(65, "example.com"));
  const std::string label(63, 'd');
  const std::string domain = label + "." + label + "." + label;  // 191
  EXPECT_TRUE(sized(254 - 192, domain));
  EXPECT_FALSE(sized(255 - 192, domain));
}

TEST(Mailbox, ParsesWhatItPrints) {
  for (const char* text : {"a@b.example", "\"a b\"@b.example", "\"\\\"\"@b.example", "a@[IPv6:2001:db8::1]",
                           "\xC3\xBC@b.example"}) {
    EXPECT_EQ(parsed(parsed(text)), parsed(text));
  }
}

TEST(ParsePath, DropsASourceRoute) {
  EXPECT_EQ(parse_path("<@relay.example:user@example.com>", false)->text(), "user@example.com");
  EXPECT_EQ(parse_path("<@a.example,@b.example:user@example.com>", false)->text(), "user@example.com");
  for (const char* text : {"<@relay.example>", "<@:user@example.com>", "<@a.example b.example:u@example.com>",
                           "<@a.example,b.example:u@example.com>", "<@a.example:@b.example:u@example.com>"}) {
    EXPECT_FALSE(parse_path(text, false)) << text;
  }
}

TEST(ParsePath, TakesTheNullPathOnlyAsAReversePath) {
  EXPECT_TRUE(parse_path("<>", true)->empty());
  EXPECT_FALSE(parse_path("<>", false));
}

TEST(ParsePath, TakesPostmasterOnlyAsAForwardPath) {
  auto path = parse_path("<pOSTMASTER>", false);
  ASSERT_TRUE(path);
  EXPECT_EQ(path->local_part(), "Postmaster");
  EXPECT_EQ(path->domain(), "");
  EXPECT_FALSE(parse_path("<postmaster>", true));
  EXPECT_FALSE(parse_path("<hostmaster>", false));
}

TEST(ParsePath, WantsAngleBrackets) {
  for (const char* text :
       {"user@example.com", "<user@example.com", "user@example.com>", "", "<", "<user@example.com> "}) {
    EXPECT_FALSE(parse_path(text, false)) << text;
  }
}

// Every string over a small alphabet of structure either is refused or comes back unchanged in meaning.
TEST(Mailbox, IsStableOverAllShortStrings) {
  const std::string alphabet = "a.@\"\\[]: ";
  std::vector<std::string> words{""};
  std::size_t taken = 0;
  for (int length = 0; length < 6; ++length) {
    std::vector<std::string> longer;
    for (const std::string& word : words) {
      for (char c : alphabet) longer.push_back(word + c);
    }
    words = std::move(longer);
    for (const std::string& word : words) {
      auto mailbox = Mailbox::parse(word);
      if (!mailbox) continue;
      ++taken;
      auto again = Mailbox::parse(mailbox->text());
      ASSERT_TRUE(again) << word;
      EXPECT_EQ(*again, *mailbox) << word;
    }
  }
  EXPECT_GT(taken, 0U);
}

}  // namespace
}  // namespace holdfast
