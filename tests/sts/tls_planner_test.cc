// The planner: which lookups it makes for which MX, and what becomes of their answers.
#include <gtest/gtest.h>

#include "sts/tls_planner.h"
#include "tests/fakes/capture.h"
#include "tests/fakes/run.h"
#include "tests/fakes/zone_resolver.h"

namespace holdfast {
namespace {

const TlsaRecord kTlsa{3, 1, 1, std::string(32, 'a')};
const TlsaRecord kOther{3, 1, 1, std::string(32, 'b')};

class FakePolicies final : public PolicyStore {
 public:
  asio::awaitable<StsLookup> lookup(DomainName domain, bool fresh) override {
    asked.emplace_back(domain.text(), fresh);
    co_return answer;
  }
  StsLookup answer{.state = StsLookup::State::absent, .cached = {}, .fetch_failure = {}, .detail = ""};
  std::vector<std::pair<std::string, bool>> asked;
};

class PlannerTest : public testing::Test {
 protected:
  PlannerTest() {
    request_.next_hop = name("example.com");
    request_.mx.domain = request_.next_hop;
    request_.mx.verdict = MxVerdict::ok;
    dns_.address("mx.example.com", "192.0.2.1");
    add_mx("mx.example.com");
  }
  static DomainName name(const std::string& text) { return DomainName::parse(text).value(); }
  void add_mx(const std::string& host) { request_.mx.hosts.push_back({name(host), 10}); }
  TlsPlan plan() {
    const auto planner = make_tls_planner(policies_, dns_, log_, metrics_);
    return run(planner->plan(request_));
  }
  std::uint64_t lookups(const std::string& result) {
    return metrics_.count("dane_lookups_total{result=" + result + "}");
  }

  ZoneResolver dns_;
  FakePolicies policies_;
  CapturingLog log_;
  CapturingMetrics metrics_;
  PlanRequest request_;
};

TEST_F(PlannerTest, AsksForThePolicyOfTheNextHopOnce) {
  request_.fresh = true;
  const TlsPlan made = plan();
  EXPECT_EQ(policies_.asked, (std::vector<std::pair<std::string, bool>>{{"example.com", true}}));
  ASSERT_EQ(made.mx.size(), 1u);
  EXPECT_EQ(made.mx[0].addresses.addresses.size(), 1u);
  EXPECT_TRUE(made.mx[0].requirement.cleartext_allowed);
}

TEST_F(PlannerTest, AsksForNoPolicyWhenStsIsOff) {
  request_.sts_mode = PolicyMode::off;
  plan();
  EXPECT_TRUE(policies_.asked.empty());
}

TEST_F(PlannerTest, KeepsTheOrderOfTheMxSet) {
  for (int i = 0; i < 10; ++i) {
    const std::string host = "mx" + std::to_string(i) + ".example.com";
    dns_.address(host, "192.0.2." + std::to_string(10 + i));
    add_mx(host);
  }
  const TlsPlan made = plan();
  ASSERT_EQ(made.mx.size(), 11u);
  for (std::size_t i = 0; i < made.mx.size(); ++i) {
    EXPECT_EQ(made.mx[i].mx.name, request_.mx.hosts[i].name);
    EXPECT_EQ(made.mx[i].addresses.canonical, request_.mx.hosts[i].name.text());
  }
}

TEST_F(PlannerTest, LooksTlsaUpOnlyWhereTheAddressIsSecure) {
  dns_.tlsa("_25._tcp.mx.example.com", kTlsa);
  TlsPlan made = plan();
  EXPECT_FALSE(made.mx[0].requirement.dane);
  EXPECT_EQ(dns_.count("_25._tcp.mx.example.com", RecordType::tlsa), 0u);
  EXPECT_EQ(lookups("insecure"), 1u);

  dns_.sign("example.com");
  made = plan();
  ASSERT_TRUE(made.mx[0].requirement.dane);
  EXPECT_EQ(made.mx[0].requirement.dane->records, std::vector<TlsaRecord>{kTlsa});
  EXPECT_EQ(made.mx[0].requirement.dane->base_domain, name("mx.example.com"));
  EXPECT_EQ(lookups("secure"), 1u);
}

// RFC 7672 section 3: the port that is connected to.
TEST_F(PlannerTest, LooksTlsaUpAtThePortConnectedTo) {
  dns_.sign("example.com");
  dns_.tlsa("_2525._tcp.mx.example.com", kTlsa);
  request_.port = 2525;
  EXPECT_TRUE(plan().mx[0].requirement.dane);
}

TEST_F(PlannerTest, DaneOffLooksNothingUp) {
  dns_.sign("example.com");
  request_.dane_mode = PolicyMode::off;
  plan();
  EXPECT_EQ(dns_.count("_25._tcp.mx.example.com", RecordType::tlsa), 0u);
}

// Invariant 19.
TEST_F(PlannerTest, FailingTlsaLookupOfASecureHostPutsItAside) {
  dns_.sign("example.com");
  dns_.fail("_25._tcp.mx.example.com", RecordType::tlsa, DnsStatus::timed_out);
  const TlsPlan made = plan();
  EXPECT_FALSE(made.mx[0].usable);
  EXPECT_EQ(made.mx[0].finding, PlanFinding::tlsa_unknown);
  EXPECT_EQ(made.mx[0].policies[0].policy_domain, name("mx.example.com"));
  EXPECT_EQ(lookups("unknown"), 1u);
}

TEST_F(PlannerTest, FailingTlsaLookupOfAnInsecureHostIsNotEvenMade) {
  dns_.fail("_25._tcp.mx.example.com", RecordType::tlsa, DnsStatus::timed_out);
  EXPECT_TRUE(plan().mx[0].usable);
}

TEST_F(PlannerTest, TlsaThatIsNotSecureIsIgnored) {
  dns_.sign("example.com");
  dns_.tlsa("_25._tcp.mx.example.com", kTlsa);
  dns_.set_secure("_25._tcp.mx.example.com", RecordType::tlsa, false);
  EXPECT_FALSE(plan().mx[0].requirement.dane);
  EXPECT_EQ(lookups("insecure"), 1u);
}

class AliasedPlannerTest : public PlannerTest {
 protected:
  AliasedPlannerTest() {
    dns_.remove("mx.example.com", RecordType::a);
    dns_.cname("mx.example.com", "host.provider.net");
    dns_.address("host.provider.net", "192.0.2.9");
    dns_.sign("example.com");
    dns_.sign("provider.net");
    request_.mx.secure = true;
  }
  void lead_into_an_unsigned_zone() {
    dns_.remove("mx.example.com", RecordType::cname);
    dns_.cname("mx.example.com", "host.unsigned.net");
    dns_.address("host.unsigned.net", "192.0.2.66");
  }
};

TEST_F(AliasedPlannerTest, TlsaOfTheExpandedNameComesFirst) {
  dns_.tlsa("_25._tcp.host.provider.net", kTlsa);
  dns_.tlsa("_25._tcp.mx.example.com", kOther);
  const TlsPlan made = plan();
  ASSERT_TRUE(made.mx[0].requirement.dane);
  EXPECT_EQ(made.mx[0].requirement.dane->base_domain, name("host.provider.net"));
  EXPECT_EQ(made.mx[0].requirement.dane->records, std::vector<TlsaRecord>{kTlsa});
  EXPECT_EQ(made.mx[0].requirement.server_name, name("host.provider.net"));
}

TEST_F(AliasedPlannerTest, ThenThatOfTheOriginalName) {
  dns_.tlsa("_25._tcp.mx.example.com", kOther);
  const TlsPlan made = plan();
  ASSERT_TRUE(made.mx[0].requirement.dane);
  EXPECT_EQ(made.mx[0].requirement.dane->base_domain, name("mx.example.com"));
}

TEST_F(AliasedPlannerTest, FailureAtTheExpandedNameIsNotPassedOver) {
  dns_.fail("_25._tcp.host.provider.net", RecordType::tlsa, DnsStatus::server_failure);
  dns_.tlsa("_25._tcp.mx.example.com", kOther);
  EXPECT_EQ(plan().mx[0].finding, PlanFinding::tlsa_unknown);
}

TEST_F(AliasedPlannerTest, SecureAliasIntoAnUnsignedZoneLeavesTheOriginalName) {
  dns_.set_secure("host.provider.net", RecordType::a, false);
  dns_.set_secure("host.provider.net", RecordType::aaaa, false);
  dns_.tlsa("_25._tcp.host.provider.net", kTlsa);
  dns_.tlsa("_25._tcp.mx.example.com", kOther);
  const TlsPlan made = plan();
  ASSERT_TRUE(made.mx[0].requirement.dane);
  EXPECT_EQ(made.mx[0].requirement.dane->records, std::vector<TlsaRecord>{kOther});
}

// What the unsigned end of a secure alias answers must not switch DANE off.
TEST_F(AliasedPlannerTest, FamiliesThatDisagreeOnTheEndOfASecureAliasLeaveTheOriginalName) {
  lead_into_an_unsigned_zone();
  dns_.remove("host.unsigned.net", RecordType::a);
  dns_.cname("host.unsigned.net", "four.unsigned.net", RecordType::a);
  dns_.cname("host.unsigned.net", "six.unsigned.net", RecordType::aaaa);
  dns_.address("four.unsigned.net", "192.0.2.66");
  dns_.address("six.unsigned.net", "2001:db8::66");
  dns_.tlsa("_25._tcp.mx.example.com", kTlsa);
  const TlsPlan made = plan();
  ASSERT_TRUE(made.mx[0].requirement.dane);
  EXPECT_EQ(made.mx[0].requirement.dane->base_domain, name("mx.example.com"));
  EXPECT_FALSE(made.mx[0].requirement.cleartext_allowed);
}

// Invariant 19, one question earlier.
TEST_F(AliasedPlannerTest, UnknownSecurityOfAnAliasPutsTheHostAside) {
  lead_into_an_unsigned_zone();
  dns_.tlsa("_25._tcp.mx.example.com", kTlsa);
  for (const DnsStatus status : {DnsStatus::server_failure, DnsStatus::timed_out}) {
    dns_.fail("mx.example.com", RecordType::cname, status);
    const TlsPlan made = plan();
    EXPECT_FALSE(made.mx[0].usable);
    EXPECT_EQ(made.mx[0].finding, PlanFinding::tlsa_unknown);
    EXPECT_FALSE(made.mx[0].requirement.cleartext_allowed);
    EXPECT_TRUE(made.policy_forbids);
  }
  EXPECT_EQ(lookups("unknown"), 2u);
}

// The addresses were of an alias, the signed zone says now that there is none: what it says counts.
TEST_F(AliasedPlannerTest, AnAliasThatItsSignedZoneDeniesLeavesTheOriginalName) {
  lead_into_an_unsigned_zone();
  dns_.tlsa("_25._tcp.mx.example.com", kTlsa);
  dns_.on_query([this](std::string asked, RecordType type) -> asio::awaitable<void> {
    if (asked == "mx.example.com" && type == RecordType::cname) dns_.remove(asked, type);
    co_return;
  });
  EXPECT_TRUE(plan().mx[0].requirement.dane);
}

TEST_F(PlannerTest, HostWithoutAnAddressIsPutAside) {
  dns_.fail("mx.example.com", DnsStatus::server_failure);
  EXPECT_EQ(plan().mx[0].finding, PlanFinding::address_unknown);
}

TEST_F(PlannerTest, UnknownPolicyIsCountedAndAfterHalfAnHourLogged) {
  policies_.answer.state = StsLookup::State::unknown;
  EXPECT_TRUE(plan().must_wait);
  EXPECT_EQ(metrics_.count("sts_unknown_total{result=waits}"), 1u);
  EXPECT_FALSE(log_.holds("example.com"));
  request_.message_age = std::chrono::minutes(31);
  EXPECT_FALSE(plan().must_wait);
  EXPECT_EQ(metrics_.count("sts_unknown_total{result=as-absent}"), 1u);
  EXPECT_TRUE(log_.holds("example.com"));
}

}  // namespace
}  // namespace holdfast
