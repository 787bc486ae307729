#include "smtp/server/good_addresses.h"

#include <gtest/gtest.h>

#include "tests/fakes/fake_clock.h"

namespace holdfast {
namespace {

TEST(GoodAddresses, AreKnownForAWeek) {
  FakeClock clock;
  GoodAddresses good;
  const IpBytes ip = *parse_ip("192.0.2.1");
  EXPECT_FALSE(good.knows(ip, clock.now()));
  good.add(ip, clock.now());
  EXPECT_TRUE(good.knows(ip, clock.now()));
  EXPECT_FALSE(good.knows(*parse_ip("192.0.2.2"), clock.now()));
  clock.advance(GoodAddresses::kLifetime);
  EXPECT_FALSE(good.knows(ip, clock.now()));
}

TEST(GoodAddresses, TakeAnIpv6NetworkAsOne) {
  FakeClock clock;
  GoodAddresses good;
  good.add(*parse_ip("2001:db8::1"), clock.now());
  EXPECT_TRUE(good.knows(*parse_ip("2001:db8::ffff"), clock.now()));
  EXPECT_FALSE(good.knows(*parse_ip("2001:db8:0:1::1"), clock.now()));
}

TEST(GoodAddresses, AreBounded) {
  FakeClock clock;
  GoodAddresses good;
  for (unsigned i = 0; i < 2 * GoodAddresses::kMost; ++i) {
    IpBytes ip = *parse_ip("10.0.0.0");
    ip[13] = static_cast<std::uint8_t>(i >> 16);
    ip[14] = static_cast<std::uint8_t>(i >> 8);
    ip[15] = static_cast<std::uint8_t>(i);
    good.add(ip, clock.now());
    ASSERT_TRUE(good.knows(ip, clock.now()));
  }
  EXPECT_LE(good.size(), GoodAddresses::kMost);
}

}  // namespace
}  // namespace holdfast
