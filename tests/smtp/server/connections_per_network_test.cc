#include "smtp/server/connections_per_network.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

IpBytes stranger(const char* ip) { return client_of(*parse_ip(ip), {*Network::parse("fd00::/8")}); }
IpBytes own(const char* ip) { return client_of(*parse_ip(ip), {*Network::parse("2001:db8::/64")}); }

TEST(ConnectionsPerNetwork, CountsAnIpv6NetworkAsOneClient) {
  ConnectionsPerNetwork open;
  EXPECT_EQ(open.enter(stranger("2001:db8::1")), 1U);
  EXPECT_EQ(open.enter(stranger("2001:db8::2")), 2U);
  EXPECT_EQ(open.enter(stranger("2001:db8:0:1::1")), 1U);
  open.leave(stranger("2001:db8::1"));
  EXPECT_EQ(open.enter(stranger("2001:db8::3")), 2U);
}

TEST(ConnectionsPerNetwork, CountsIpv4AddressesEachForItself) {
  ConnectionsPerNetwork open;
  EXPECT_EQ(open.enter(stranger("192.0.2.1")), 1U);
  EXPECT_EQ(open.enter(stranger("192.0.2.2")), 1U);
  EXPECT_EQ(open.enter(stranger("192.0.2.2")), 2U);
}

TEST(ConnectionsPerNetwork, CountsEachMachineOfATrustedNetworkForItself) {
  ConnectionsPerNetwork open;
  EXPECT_EQ(open.enter(own("2001:db8::1")), 1U);
  EXPECT_EQ(open.enter(own("2001:db8::2")), 1U);
  EXPECT_EQ(open.enter(own("2001:db8::2")), 2U);
  EXPECT_EQ(open.enter(own("2001:db8:0:1::1")), 1U);
  EXPECT_EQ(open.enter(own("2001:db8:0:1::2")), 2U) << "beside the trusted network";
}

TEST(ConnectionsPerNetwork, ForgetsWhoHasLeft) {
  ConnectionsPerNetwork open;
  open.enter(stranger("2001:db8::1"));
  open.enter(stranger("2001:db8::2"));
  open.leave(stranger("2001:db8::2"));
  EXPECT_EQ(open.clients(), 1U);
  open.leave(stranger("2001:db8::1"));
  EXPECT_EQ(open.clients(), 0U);
}

}  // namespace
}  // namespace holdfast
