#include "config/network.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

TEST(Network, HoldsAddressesOfItsPrefix) {
  const auto v4 = Network::parse("192.0.2.0/25");
  ASSERT_TRUE(v4);
  EXPECT_EQ(v4->prefix, 121);
  EXPECT_TRUE(v4->contains(*parse_ip("192.0.2.127")));
  EXPECT_FALSE(v4->contains(*parse_ip("192.0.2.128")));
  EXPECT_TRUE(v4->contains(*parse_ip("::ffff:192.0.2.1"))) << "an IPv4 client of an IPv6 socket";
  const auto all = Network::parse("0.0.0.0/0");
  ASSERT_TRUE(all);
  EXPECT_FALSE(all->contains(*parse_ip("2001:db8::1")));
  EXPECT_TRUE(Network::parse("2001:db8::/32")->contains(*parse_ip("2001:db8:ffff::1")));
}

TEST(Network, PrintsWhatItReads) {
  for (const char* text : {"192.0.2.0/24", "192.0.2.1", "2001:db8::/32", "::1", "0.0.0.0/0", "::/0"}) {
    ASSERT_TRUE(Network::parse(text)) << text;
    EXPECT_EQ(Network::parse(text)->text(), text);
  }
}

TEST(Network, RefusesHostBitsAndNonsense) {
  for (const char* bad : {"192.0.2.1/24", "192.0.2.0/33", "2001:db8::/129", "192.0.2/24", "192.0.2.0/",
                          "192.0.2.0/-1", "192.0.2.0/ 8", "example.com", "[::1]", "fe80::1%eth0", ""})
    EXPECT_FALSE(Network::parse(bad)) << bad;
  EXPECT_FALSE(parse_ip(std::string_view("192.0.2.1\0", 10)));
}

TEST(HostPort, TakesNamesAddressesAndBrackets) {
  EXPECT_EQ(HostPort::parse("mx.example:25", 0), (HostPort{"mx.example", 25}));
  EXPECT_EQ(HostPort::parse("mx.example", 25), (HostPort{"mx.example", 25}));
  EXPECT_EQ(HostPort::parse("[::1]:587", 0), (HostPort{"::1", 587}));
  EXPECT_EQ(HostPort::parse("[::1]:587", 0)->text(), "[::1]:587");
  EXPECT_EQ(HostPort::parse("192.0.2.1:25", 0)->text(), "192.0.2.1:25");
}

TEST(HostPort, RefusesWhatCouldBeReadInTwoWays) {
  for (const char* bad :
       {"", ":25", "::1", "2001:db8::1:25", "[::1", "[::1]25", "[mx.example]:25", "mx example:25", "mx:70000",
        "mx:", "mx:-1", "a..b:25", ".a:25", "a/b:25", "[192.0.2.1]:25"})
    EXPECT_FALSE(HostPort::parse(bad, 25)) << bad;
}

}  // namespace
}  // namespace holdfast
