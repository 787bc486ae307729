#include "smtp/server/failure_limiter.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

const Rate kTenInTen{10, minutes(10)};
const SteadyTime kStart{std::chrono::hours(1)};

TEST(FailureLimiter, LocksAnAddressOutAndLetsItComeBackSlowly) {
  FailureLimiter limiter(kTenInTen);
  const IpBytes ip = *parse_ip("192.0.2.1");
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(limiter.take(ip, kStart));
  EXPECT_FALSE(limiter.take(ip, kStart));
  EXPECT_FALSE(limiter.take(ip, kStart + seconds(59)));
  EXPECT_TRUE(limiter.take(ip, kStart + seconds(60)));
  EXPECT_FALSE(limiter.take(ip, kStart + seconds(61)));
  EXPECT_TRUE(limiter.take(*parse_ip("192.0.2.2"), kStart));
}

TEST(FailureLimiter, NeverLimitsWhoIsRight) {
  FailureLimiter limiter(kTenInTen);
  const IpBytes ip = *parse_ip("192.0.2.1");
  for (int i = 0; i < 1000; ++i) {
    EXPECT_TRUE(limiter.take(ip, kStart));
    limiter.give_back(ip, kStart);
  }
  EXPECT_EQ(limiter.size(), 0U);
}

TEST(FailureLimiter, CountsAnIpv6NetworkAsOne) {
  FailureLimiter limiter(Rate{1, minutes(1)});
  EXPECT_TRUE(limiter.take(*parse_ip("2001:db8::1"), kStart));
  EXPECT_FALSE(limiter.take(*parse_ip("2001:db8::2"), kStart));
  EXPECT_TRUE(limiter.take(*parse_ip("2001:db8:0:1::1"), kStart));
}

TEST(FailureLimiter, IsOffWithoutARate) {
  FailureLimiter limiter(Rate{});
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(limiter.take(*parse_ip("192.0.2.1"), kStart));
}

TEST(FailureLimiter, KeepsItsMemoryBounded) {
  FailureLimiter limiter(kTenInTen);
  IpBytes ip = *parse_ip("2001:db8::1");
  for (unsigned i = 0; i < 200000; ++i) {
    ip[5] = static_cast<std::uint8_t>(i >> 16);
    ip[6] = static_cast<std::uint8_t>(i >> 8);
    ip[7] = static_cast<std::uint8_t>(i);
    limiter.take(ip, kStart);
  }
  EXPECT_LE(limiter.size(), 65536U);
}

}  // namespace
}  // namespace holdfast
