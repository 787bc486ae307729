// Which TLSA records can be used and where they stand: RFC 7672, RFC 7671 section 9.
#include "sts/dane.h"
#include "tests/fakes/domain.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

TlsaRecord record(int usage, int selector, int type, std::string data) {
  return {static_cast<std::uint8_t>(usage), static_cast<std::uint8_t>(selector),
          static_cast<std::uint8_t>(type), std::move(data)};
}
const std::string k256(32, 'a'), k512(64, 'b');
std::vector<std::string> bases(const HostAddresses& addresses) {
  std::vector<std::string> texts;
  for (const DomainName& base : tlsa_base_domains(domain("mx.example"), addresses))
    texts.push_back(base.text());
  return texts;
}

TEST(Tlsa, OnlyUsages2And3CanBeUsed) {
  EXPECT_FALSE(is_usable(record(0, 1, 1, k256)));
  EXPECT_FALSE(is_usable(record(1, 1, 1, k256)));
  EXPECT_TRUE(is_usable(record(2, 1, 1, k256)));
  EXPECT_TRUE(is_usable(record(3, 1, 1, k256)));
  EXPECT_FALSE(is_usable(record(4, 1, 1, k256)));
  EXPECT_FALSE(is_usable(record(255, 1, 1, k256)));
}

TEST(Tlsa, SelectorMatchingTypeAndLengthMustBeKnown) {
  EXPECT_TRUE(is_usable(record(3, 0, 1, k256)));
  EXPECT_TRUE(is_usable(record(3, 1, 2, k512)));
  EXPECT_FALSE(is_usable(record(3, 2, 1, k256)));
  EXPECT_FALSE(is_usable(record(3, 1, 3, k256)));
  EXPECT_FALSE(is_usable(record(3, 1, 1, k512)));
  EXPECT_FALSE(is_usable(record(3, 1, 2, k256)));
  EXPECT_FALSE(is_usable(record(3, 1, 1, "")));
}

TEST(Tlsa, FullDataMustBeACertificateOrAKey) {
  // The SubjectPublicKeyInfo of an Ed25519 key (RFC 8410 section 10.1).
  std::string spki("\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00", 12);
  spki += std::string(
      "\x19\xbf\x44\x09\x69\x84\xcd\xfe\x85\x41\xba\xc1\x67\xdc\x3b\x96"
      "\xc8\x50\x86\xaa\x30\xb6\xb6\xcb\x0c\x5c\x38\xad\x70\x31\x66\xe1",
      32);
  EXPECT_TRUE(is_usable(record(3, 1, 0, spki)));
  EXPECT_FALSE(is_usable(record(3, 0, 0, spki)));
  EXPECT_FALSE(is_usable(record(3, 1, 0, spki + "x")));
  EXPECT_FALSE(is_usable(record(3, 1, 0, "")));
  EXPECT_FALSE(is_usable(record(2, 0, 0, "junk")));
}

TEST(Tlsa, OnlyTheStrongestDigestOfAUsageAndSelectorCounts) {
  const std::vector<TlsaRecord> all{record(3, 1, 1, k256), record(3, 1, 2, k512), record(3, 0, 1, k256),
                                    record(2, 1, 1, k256), record(3, 1, 2, k512), record(1, 1, 2, k512)};
  EXPECT_EQ(usable_records(all),
            (std::vector<TlsaRecord>{record(2, 1, 1, k256), record(3, 0, 1, k256), record(3, 1, 2, k512)}));
}

TEST(Tlsa, UnusableStrongDigestDoesNotSuppressAUsableWeakOne) {
  EXPECT_EQ(usable_records({record(3, 1, 2, "short"), record(3, 1, 1, k256)}),
            (std::vector<TlsaRecord>{record(3, 1, 1, k256)}));
}

TEST(Tlsa, TextIsThatOfAZoneFile) {
  EXPECT_EQ(tlsa_text(record(3, 1, 1, std::string("\xab\x12\x00", 3))), "3 1 1 ab1200");
}

TEST(TlsaBase, IsTheHostWhereItsAddressesAreSecure) {
  HostAddresses addresses;
  addresses.secure = true;
  addresses.canonical = "mx.example";
  EXPECT_EQ(bases(addresses), std::vector<std::string>{"mx.example"});
  addresses.secure = false;
  EXPECT_TRUE(bases(addresses).empty());
}

TEST(TlsaBase, IsTheEndOfASecureAliasFirstThenTheHost) {
  HostAddresses addresses;
  addresses.secure = addresses.alias_secure = true;
  addresses.canonical = "host.provider.example";
  EXPECT_EQ(bases(addresses), (std::vector<std::string>{"host.provider.example", "mx.example"}));
}

TEST(TlsaBase, RemainsTheHostWhenASecureAliasLeadsIntoAnUnsignedZone) {
  HostAddresses addresses;
  addresses.alias_secure = true;
  addresses.canonical = "host.provider.example";
  EXPECT_EQ(bases(addresses), std::vector<std::string>{"mx.example"});
  addresses.canonical = "mx.example";  // the answers disagreed on the end
  EXPECT_EQ(bases(addresses), std::vector<std::string>{"mx.example"});
  addresses.alias_secure = false;
  EXPECT_TRUE(bases(addresses).empty());
}

}  // namespace
}  // namespace holdfast
