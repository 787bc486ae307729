#include "smtp/dns/mx_lookup.h"

#include <gtest/gtest.h>

#include <set>

#include "smtp/base/stream.h"
#include "tests/fakes/run.h"
#include "tests/fakes/zone_resolver.h"

namespace holdfast {
namespace {

DomainName name(std::string_view text) { return *DomainName::parse(text); }

class MxLookup : public ::testing::Test {
 protected:
  MxSet look_up(std::string_view domain) { return run(lookup_mx(dns_, name(domain), own_names_, *random_)); }
  std::string hosts(std::string_view domain) {
    std::string out;
    for (const auto& host : look_up(domain).hosts) out += host.name.text() + " ";
    return out;
  }
  HostAddresses addresses(std::string_view host, IpFamily family = IpFamily::automatic) {
    return run(lookup_addresses(dns_, name(host), family));
  }
  std::string address_list(std::string_view host, IpFamily family = IpFamily::automatic) {
    std::string out;
    for (const auto& ip : addresses(host, family).addresses) out += ip_text(ip) + " ";
    return out;
  }

  ZoneResolver dns_;
  std::unique_ptr<Random> random_ = make_system_random();
  std::vector<DomainName> own_names_{name("relay.example")};
};

TEST_F(MxLookup, OrdersHostsByPreference) {
  dns_.mx("a.example", 30, "c.example");
  dns_.mx("a.example", 10, "A.example.");
  dns_.mx("a.example", 20, "b.example");
  dns_.mx("a.example", 40, "a.example");  // named twice: the better place counts
  EXPECT_EQ(hosts("a.example"), "a.example b.example c.example ");
  EXPECT_FALSE(look_up("a.example").implicit);
}

TEST_F(MxLookup, ShufflesEqualPreferences) {
  for (const char* host : {"a.example", "b.example", "c.example"}) dns_.mx("d.example", 10, host);
  dns_.mx("d.example", 20, "last.example");
  std::set<std::string> orders;
  for (int i = 0; i < 300; ++i) {
    const auto order = hosts("d.example");
    EXPECT_TRUE(order.ends_with("last.example "));
    orders.insert(order);
  }
  EXPECT_EQ(orders.size(), 6U);
}

TEST_F(MxLookup, FallsBackToTheDomainItself) {
  dns_.address("a.example", "192.0.2.1");
  const auto set = look_up("a.example");
  EXPECT_EQ(set.verdict, MxVerdict::ok);
  EXPECT_TRUE(set.implicit);
  EXPECT_EQ(set.hosts.at(0).name, name("a.example"));
}

TEST_F(MxLookup, KnowsTheNullMx) {
  dns_.mx("a.example", 0, ".");
  EXPECT_EQ(look_up("a.example").verdict, MxVerdict::null_mx);
  dns_.mx("a.example", 10, "mx.example");  // RFC 7505: beside others it means nothing
  EXPECT_EQ(hosts("a.example"), "mx.example ");
}

TEST_F(MxLookup, TellsADomainThatIsNotFromOneThatIsUnknown) {
  EXPECT_EQ(look_up("nowhere.example").verdict, MxVerdict::no_domain);
  for (const auto status : {DnsStatus::server_failure, DnsStatus::timed_out, DnsStatus::cname_limit}) {
    dns_.fail("a.example", RecordType::mx, status);
    const auto set = look_up("a.example");
    EXPECT_EQ(set.verdict, MxVerdict::unknown);
    EXPECT_NE(set.detail.find("a.example"), std::string::npos);
  }
}

TEST_F(MxLookup, LeavesOutWhatIsNoHostName) {
  dns_.mx("a.example", 10, "192.0.2.1");
  dns_.mx("a.example", 20, "bad\\046name.example");
  const auto set = look_up("a.example");
  EXPECT_EQ(set.verdict, MxVerdict::no_hosts);
  EXPECT_NE(set.detail.find("192.0.2.1"), std::string::npos);
  dns_.mx("a.example", 30, "good.example");
  EXPECT_EQ(hosts("a.example"), "good.example ");
}

TEST_F(MxLookup, StopsAtOurOwnPreference) {
  dns_.mx("a.example", 10, "better.example");
  dns_.mx("a.example", 20, "relay.example");
  dns_.mx("a.example", 20, "equal.example");
  dns_.mx("a.example", 30, "worse.example");
  EXPECT_EQ(hosts("a.example"), "better.example ");
}

TEST_F(MxLookup, CallsItALoopWhenWeAreTheBest) {
  dns_.mx("a.example", 10, "relay.example");
  dns_.mx("a.example", 20, "worse.example");
  EXPECT_EQ(look_up("a.example").verdict, MxVerdict::loop);
  dns_.address("relay.example", "192.0.2.1");
  EXPECT_EQ(look_up("relay.example").verdict, MxVerdict::loop);
}

TEST_F(MxLookup, KeepsTheMostPreferredOfManyHosts) {
  for (int i = 0; i < 50; ++i)
    dns_.mx("a.example", static_cast<std::uint16_t>(i), "mx" + std::to_string(i) + ".example");
  const auto set = look_up("a.example");
  ASSERT_EQ(set.hosts.size(), kMaxMxHosts);
  EXPECT_EQ(set.hosts.front().name.text(), "mx0.example");
  EXPECT_EQ(set.hosts.back().preference, kMaxMxHosts - 1);
}

TEST_F(MxLookup, CarriesTheSecurityOfTheAnswer) {
  dns_.mx("plain.example", 10, "mx.example");
  dns_.mx("a.signed.example", 10, "mx.example");
  dns_.address("b.signed.example", "192.0.2.1");
  dns_.sign("signed.example");
  EXPECT_FALSE(look_up("plain.example").secure);
  EXPECT_TRUE(look_up("a.signed.example").secure);
  EXPECT_TRUE(look_up("b.signed.example").secure);  // its secure absence
}

TEST_F(MxLookup, GivesBothFamiliesIpv6First) {
  dns_.address("mx.example", "192.0.2.1");
  dns_.address("mx.example", "2001:db8::1");
  EXPECT_EQ(address_list("mx.example"), "2001:db8::1 192.0.2.1 ");
  EXPECT_EQ(address_list("mx.example", IpFamily::v4), "192.0.2.1 ");
  EXPECT_EQ(address_list("mx.example", IpFamily::v6), "2001:db8::1 ");
}

TEST_F(MxLookup, LetsNoFamilyCrowdTheOtherOut) {
  for (int i = 1; i <= 9; ++i) {
    dns_.address("mx.example", "192.0.2." + std::to_string(i));
    dns_.address("mx.example", "2001:db8::" + std::to_string(i));
    dns_.address("v4.example", "192.0.2." + std::to_string(i));
  }
  EXPECT_EQ(address_list("mx.example"), "2001:db8::1 2001:db8::2 2001:db8::3 192.0.2.1 192.0.2.2 ");
  EXPECT_EQ(addresses("v4.example").addresses.size(), kMaxAddressesPerHost);
}

TEST_F(MxLookup, UsesOneFamilyWhenTheOtherIsUnknown) {
  dns_.address("mx.example", "192.0.2.1");
  dns_.fail("mx.example", RecordType::aaaa, DnsStatus::server_failure);
  EXPECT_EQ(addresses("mx.example").status, DnsStatus::ok);
  dns_.remove("mx.example", RecordType::a);
  EXPECT_EQ(addresses("mx.example").status, DnsStatus::server_failure);
  EXPECT_EQ(addresses("nowhere.example").status, DnsStatus::nx_domain);
}

TEST_F(MxLookup, IsSecureOnlyThroughout) {
  dns_.sign("signed.example");
  dns_.address("real.signed.example", "192.0.2.1");
  dns_.cname("alias.signed.example", "real.signed.example");
  dns_.address("plain.example", "192.0.2.2");
  dns_.cname("out.signed.example", "plain.example");
  auto found = addresses("alias.signed.example");
  EXPECT_TRUE(found.secure);
  EXPECT_EQ(found.canonical, "real.signed.example");
  EXPECT_TRUE(found.alias_secure);
  found = addresses("out.signed.example");
  EXPECT_FALSE(found.secure);
  EXPECT_EQ(found.canonical, "plain.example");
}

// RFC 7672 section 2.2.2. A validating server answers the address question without the AD bit here.
TEST_F(MxLookup, AsksWhetherAnAliasIntoAnUnsignedZoneIsItselfSecure) {
  dns_.sign("signed.example");
  dns_.address("plain.example", "192.0.2.2");
  dns_.cname("out.signed.example", "plain.example");
  dns_.cname("alias.example", "plain.example");
  EXPECT_TRUE(addresses("out.signed.example").alias_secure);
  EXPECT_FALSE(addresses("alias.example").alias_secure);
  EXPECT_FALSE(addresses("plain.example").alias_secure);
  EXPECT_EQ(dns_.count("plain.example", RecordType::cname), 0U);
}

// Whoever answers for the unsigned end of an alias may let the two families lead to different names.
TEST_F(MxLookup, AsksAboutTheAliasThoughTheFamiliesDisagreeOnWhereItLeads) {
  dns_.sign("signed.example");
  dns_.cname("out.signed.example", "plain.example");
  dns_.cname("plain.example", "four.example", RecordType::a);
  dns_.cname("plain.example", "six.example", RecordType::aaaa);
  dns_.address("four.example", "192.0.2.2");
  dns_.address("six.example", "2001:db8::2");
  const auto found = addresses("out.signed.example");
  EXPECT_EQ(found.addresses.size(), 2U);
  EXPECT_EQ(found.canonical, "out.signed.example");
  EXPECT_FALSE(found.secure);
  EXPECT_TRUE(found.alias_secure);
  EXPECT_EQ(dns_.count("out.signed.example", RecordType::cname), 1U);
}

TEST_F(MxLookup, TellsAnAliasThatIsNotSecureFromOneThatIsUnknown) {
  dns_.sign("signed.example");
  dns_.address("plain.example", "192.0.2.2");
  dns_.cname("out.signed.example", "plain.example");
  for (const auto status : {DnsStatus::server_failure, DnsStatus::timed_out, DnsStatus::cname_limit}) {
    dns_.fail("out.signed.example", RecordType::cname, status);
    const auto found = addresses("out.signed.example");
    EXPECT_EQ(found.status, DnsStatus::ok);
    EXPECT_EQ(found.alias_status, status);
    EXPECT_FALSE(found.alias_secure);
  }
  dns_.cname("alias.example", "plain.example");
  EXPECT_EQ(addresses("alias.example").alias_status, DnsStatus::ok);
  EXPECT_EQ(addresses("plain.example").alias_status, DnsStatus::ok);
}

}  // namespace
}  // namespace holdfast
