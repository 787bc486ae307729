#include "smtp/server/connections_per_network.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

TEST(ConnectionsPerNetwork, CountsAnIpv6NetworkAsOneClient) {
  ConnectionsPerNetwork open;
  EXPECT_EQ(open.enter(*parse_ip("2001:db8::1")), 1U);
  EXPECT_EQ(open.enter(*parse_ip("2001:db8::2")), 2U);
  EXPECT_EQ(open.enter(*parse_ip("2001:db8:0:1::1")), 1U);
  open.leave(*parse_ip("2001:db8::1"));
  EXPECT_EQ(open.enter(*parse_ip("2001:db8::3")), 2U);
}

TEST(ConnectionsPerNetwork, CountsIpv4AddressesEachForItself) {
  ConnectionsPerNetwork open;
  EXPECT_EQ(open.enter(*parse_ip("192.0.2.1")), 1U);
  EXPECT_EQ(open.enter(*parse_ip("192.0.2.2")), 1U);
  EXPECT_EQ(open.enter(*parse_ip("192.0.2.2")), 2U);
}

TEST(ConnectionsPerNetwork, ForgetsWhoHasLeft) {
  ConnectionsPerNetwork open;
  open.enter(*parse_ip("2001:db8::1"));
  open.enter(*parse_ip("2001:db8::2"));
  open.leave(*parse_ip("2001:db8::2"));
  EXPECT_EQ(open.networks(), 1U);
  open.leave(*parse_ip("2001:db8::1"));
  EXPECT_EQ(open.networks(), 0U);
}

}  // namespace
}  // namespace holdfast
