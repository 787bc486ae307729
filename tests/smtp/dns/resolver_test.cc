#include "smtp/dns/resolver.h"

#include <gtest/gtest.h>

#include "smtp/dns/dns_servers.h"

namespace holdfast {
namespace {

TEST(IsGlobal, RefusesEverySpecialRange) {
  for (const char* ip : {"0.0.0.0",      "10.1.2.3",
                         "100.64.0.1",   "100.127.255.255",
                         "127.0.0.1",    "169.254.169.254",
                         "172.16.0.1",   "172.31.255.255",
                         "192.0.0.1",    "192.0.2.1",
                         "192.88.99.1",  "192.168.1.1",
                         "198.18.0.1",   "198.19.255.255",
                         "198.51.100.1", "203.0.113.1",
                         "224.0.0.1",    "239.255.255.255",
                         "240.0.0.1",    "255.255.255.255",
                         "::",           "::1",
                         "::10.0.0.1",   "64:ff9b:1::1",
                         "100::1",       "2001::1",
                         "2001:2::1",    "2001:10::1",
                         "2001:db8::1",  "3fff::1",
                         "5f00::1",      "fc00::1",
                         "fd12::1",      "fe80::1",
                         "fec0::1",      "ff02::1",
                         "4000::1"}) {
    ASSERT_TRUE(parse_ip(ip)) << ip;
    EXPECT_FALSE(is_global(*parse_ip(ip))) << ip;
  }
}

TEST(IsGlobal, TakesWhatTheNetworkRoutes) {
  for (const char* ip :
       {"1.1.1.1", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.1",
        "198.17.255.255", "198.20.0.0", "223.255.255.255", "2001:200::1", "2606:4700::1", "2a00:1450::1"}) {
    ASSERT_TRUE(parse_ip(ip)) << ip;
    EXPECT_TRUE(is_global(*parse_ip(ip))) << ip;
  }
}

TEST(IsGlobal, LooksIntoAddressesThatEmbedAnother) {
  EXPECT_FALSE(is_global(*parse_ip("::ffff:127.0.0.1")));
  EXPECT_TRUE(is_global(*parse_ip("::ffff:1.1.1.1")));
  EXPECT_FALSE(is_global(*parse_ip("64:ff9b::a9fe:a9fe")));  // 169.254.169.254 through NAT64
  EXPECT_TRUE(is_global(*parse_ip("64:ff9b::101:101")));
  EXPECT_FALSE(is_global(*parse_ip("2002:7f00:1::1")));  // 127.0.0.1 through 6to4
  EXPECT_TRUE(is_global(*parse_ip("2002:101:101::1")));
}

std::string listed(const std::vector<Peer>& servers) {
  std::string out;
  for (const auto& server : servers) out += server.text() + "#" + std::to_string(server.port) + " ";
  return out;
}

TEST(DnsServers, ReadsResolvConf) {
  EXPECT_EQ(
      listed(parse_resolv_conf(
          "# a comment\nsearch example\nnameserver 192.0.2.1\nnameserver\t2001:db8::1 # ours\n"
          "nameserver fe80::1%eth0\nnameserverx 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4")),
      "192.0.2.1#53 2001:db8::1#53 192.0.2.3#53 ");
  EXPECT_EQ(listed(parse_resolv_conf("")), "127.0.0.1#53 ");
}

TEST(DnsServers, TakesAddressesPortsAndNames) {
  DnsSettings settings;
  settings.servers = {"127.0.0.1:5353", "[::1]:5353", "::1", "localhost:54"};
  const auto found = find_dns_servers(settings);
  ASSERT_TRUE(found) << found.error().text();
  ASSERT_EQ(found->servers.size(), 4U);
  EXPECT_EQ(listed(found->servers).substr(0, 31), "127.0.0.1#5353 ::1#5353 ::1#53 ");
  EXPECT_EQ(found->servers[3].port, 54);
}

TEST(DnsServers, NamesTheEntryThatItCannotUse) {
  DnsSettings settings;
  settings.servers = {"no-such-name.invalid:53"};
  const auto found = find_dns_servers(settings);
  ASSERT_FALSE(found);
  EXPECT_NE(found.error().text().find("no-such-name.invalid"), std::string::npos);
}

TEST(DnsServers, BelievesTheAdBitOfLoopbackOnlyUnlessTold) {
  const auto server = [](const char* ip) {
    Peer peer;
    peer.ip = *parse_ip(ip);
    return peer;
  };
  const std::vector<Peer> local{server("127.0.0.53"), server("::1")};
  const std::vector<Peer> mixed{server("127.0.0.1"), server("192.0.2.1")};
  EXPECT_TRUE(believes_ad(DnssecTrust::automatic, local));
  EXPECT_FALSE(believes_ad(DnssecTrust::automatic, mixed));
  EXPECT_TRUE(believes_ad(DnssecTrust::trust, mixed));
  EXPECT_TRUE(believes_ad(DnssecTrust::required, mixed));
  EXPECT_FALSE(believes_ad(DnssecTrust::off, local));
}

}  // namespace
}  // namespace holdfast
