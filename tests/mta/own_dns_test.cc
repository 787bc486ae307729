#include "mta/own_dns.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mta/spf_check.h"
#include "sts/sts_error.h"
#include "tests/fakes/run.h"
#include "tests/fakes/zone_resolver.h"

namespace holdfast {
namespace {

using testing::HasSubstr;
using Spf = SpfFinding::Result;
using Severity = OwnDnsFinding::Severity;

class SpfTest : public testing::Test {
 protected:
  Spf spf(const std::string& ip = "192.0.2.7", const std::string& domain = "one.example") {
    finding_ = run(check_spf(dns_, domain, parse_ip(ip).value()));
    return finding_.result;
  }
  ZoneResolver dns_;
  SpfFinding finding_;
};

TEST_F(SpfTest, FollowsTheMechanismsOfRfc7208) {
  EXPECT_EQ(spf(), Spf::none);
  dns_.txt("one.example", "unrelated");
  dns_.txt("one.example", "v=spf1 ip4:192.0.2.0/24 -all");
  EXPECT_EQ(spf(), Spf::pass);
  EXPECT_EQ(spf("198.51.100.1"), Spf::fail);
  EXPECT_EQ(spf("2001:db8::1"), Spf::fail) << "an address of the other family is in no ip4 network";
  dns_.remove("one.example", RecordType::txt);
  dns_.txt("one.example", "v=spf1 a:relay.one.example mx ip6:2001:db8::/32 ?all");
  dns_.address("relay.one.example", "192.0.2.7");
  dns_.mx("one.example", 10, "mx.one.example");
  dns_.address("mx.one.example", "192.0.2.8");
  EXPECT_EQ(spf(), Spf::pass);
  EXPECT_EQ(spf("192.0.2.8"), Spf::pass);
  EXPECT_EQ(spf("2001:db8:7::1"), Spf::pass);
  EXPECT_EQ(spf("192.0.2.9"), Spf::neutral);
}

TEST_F(SpfTest, IncludesPassOnlyAPassAndRedirectsPassAll) {
  dns_.txt("one.example", "v=spf1 include:two.example ~all");
  dns_.txt("two.example", "v=spf1 ip4:192.0.2.7 -all");
  EXPECT_EQ(spf(), Spf::pass);
  EXPECT_EQ(spf("192.0.2.8"), Spf::softfail);
  dns_.txt("three.example", "v=spf1 redirect=two.example");
  EXPECT_EQ(spf("192.0.2.8", "three.example"), Spf::fail);
  dns_.txt("four.example", "v=spf1 include:nothing.example -all");
  EXPECT_EQ(spf("192.0.2.7", "four.example"), Spf::permerror);
}

TEST_F(SpfTest, LengthsOfNetworksCount) {
  dns_.txt("one.example", "v=spf1 a/24//64 -all");
  dns_.address("one.example", "192.0.2.200");
  dns_.address("one.example", "2001:db8::1");
  EXPECT_EQ(spf(), Spf::pass);
  EXPECT_EQ(spf("2001:db8::ffff"), Spf::pass);
  EXPECT_EQ(spf("2001:db8:0:1::1"), Spf::fail);
}

TEST_F(SpfTest, WhatReceiversRejectIsAnError) {
  for (const char* record : {"v=spf1 ip4:nonsense -all", "v=spf1 ip4:192.0.2.0/99 -all",
                             "v=spf1 nonsense -all", "v=spf1 ip6:192.0.2.1 -all"}) {
    dns_.remove("one.example", RecordType::txt);
    dns_.txt("one.example", record);
    EXPECT_EQ(spf(), Spf::permerror) << record;
  }
  dns_.txt("one.example", "v=spf1 -all");
  EXPECT_EQ(spf(), Spf::permerror) << "two records";
  dns_.remove("one.example", RecordType::txt);
  dns_.txt("one.example", "v=spf1 include:one.example -all");
  EXPECT_EQ(spf(), Spf::permerror) << "a loop ends by the limit of lookups";
  EXPECT_THAT(finding_.detail, HasSubstr("10 DNS lookups"));
}

TEST_F(SpfTest, SaysWhatItCannotJudge) {
  dns_.txt("one.example", "v=spf1 exists:%{i}.spf.one.example -all");
  EXPECT_EQ(spf(), Spf::unknown);
  dns_.fail("one.example", DnsStatus::timed_out);
  EXPECT_EQ(spf(), Spf::temperror);
}

// RFC 7208 section 4.6: receivers look at the syntax of the whole record before they evaluate any of it.
TEST_F(SpfTest, AnErrorBehindTheTermThatMatchesIsAnErrorToo) {
  for (const char* behind :
       {"nonsense", "ip4:192.0.2", "ip6:192.0.2.1", "a/33", "a//129", "mx:mx.one.example/x", "-", "include",
        "exists", "redirect=a.example redirect=b.example"}) {
    dns_.remove("one.example", RecordType::txt);
    dns_.txt("one.example", std::string("v=spf1 ip4:192.0.2.7 ") + behind);
    EXPECT_EQ(spf(), Spf::permerror) << behind;
  }
}

TEST_F(SpfTest, ExistsPassesWhereThereIsAnAddress) {
  dns_.txt("one.example", "v=spf1 exists:known.example -all");
  EXPECT_EQ(spf(), Spf::fail);
  dns_.address("known.example", "127.0.0.2");
  EXPECT_EQ(spf(), Spf::pass);
}

TEST_F(SpfTest, PtrNeverMatches) {
  dns_.txt("one.example", "v=spf1 ptr ~all");
  dns_.ptr("7.2.0.192.in-addr.arpa", "one.example");
  dns_.address("one.example", "192.0.2.7");
  EXPECT_EQ(spf(), Spf::softfail);
}

TEST_F(SpfTest, WhereNothingMatchesAndNothingIsSaidOfTheRestItIsNeutral) {
  dns_.txt("one.example", "v=spf1  ip4:198.51.100.1 exp=why.one.example unknown=x");
  EXPECT_EQ(spf(), Spf::neutral);
  EXPECT_THAT(finding_.detail, HasSubstr("no term matches"));
}

TEST_F(SpfTest, ARedirectToNothingIsAnErrorAndOneInACircleEnds) {
  dns_.txt("one.example", "v=spf1 redirect=nothing.example");
  EXPECT_EQ(spf(), Spf::permerror);
  dns_.txt("two.example", "v=spf1 redirect=two.example");
  EXPECT_EQ(spf("192.0.2.7", "two.example"), Spf::permerror);
  EXPECT_THAT(finding_.detail, HasSubstr("10 DNS lookups"));
}

TEST_F(SpfTest, MoreThanTenMailServersAreAnError) {
  dns_.txt("one.example", "v=spf1 mx -all");
  for (int i = 0; i < 11; ++i) dns_.mx("one.example", 10, "mx" + std::to_string(i) + ".one.example");
  EXPECT_EQ(spf(), Spf::permerror);
  EXPECT_THAT(finding_.detail, HasSubstr("more than 10 hosts"));
}

TEST_F(SpfTest, ALookupWithoutAnAnswerLeavesTheVerdictOpenWhereverItStands) {
  dns_.mx("one.example", 10, "mx.one.example");
  const std::pair<const char*, const char*> cases[] = {{"a:silent.example", "silent.example"},
                                                       {"mx:silent.example", "silent.example"},
                                                       {"mx", "mx.one.example"},
                                                       {"exists:silent.example", "silent.example"},
                                                       {"include:silent.example", "silent.example"}};
  for (const auto& [term, silent] : cases) {
    dns_.remove("one.example", RecordType::txt);
    dns_.txt("one.example", std::string("v=spf1 ") + term + " -all");
    dns_.fail(silent, DnsStatus::server_failure);
    EXPECT_EQ(spf(), Spf::temperror) << term;
    dns_.heal(silent);
  }
}

class NoPolicy final : public PolicyFetcher {
 public:
  asio::awaitable<Result<StsPolicy>> fetch(DomainName) override {
    if (policy) co_return *policy;
    co_return Error(StsError::connect_failed, "nobody answers");
  }
  std::optional<StsPolicy> policy;
};

class OwnDnsTest : public testing::Test {
 protected:
  OwnDnsTest() {
    request_.hostname = "relay.example";
    request_.names = {"relay.example"};
    request_.addresses = {"192.0.2.7"};
    request_.domains = {"one.example"};
    request_.report_address = "postmaster@one.example";
    OwnKey key;
    key.domain = "one.example";
    key.selector = "s1";
    key.record = "v=DKIM1; k=rsa; p=AAAA";
    request_.keys.push_back(key);

    dns_.address("relay.example", "192.0.2.7");
    dns_.ptr("7.2.0.192.in-addr.arpa", "relay.example");
    dns_.txt("relay.example", "v=spf1 a -all");
    dns_.txt("one.example", "v=spf1 a:relay.example -all");
    dns_.txt("s1._domainkey.one.example", "v=DKIM1; k=rsa; p=AAAA");
    dns_.txt("_smtp._tls.one.example", "v=TLSRPTv1; rua=mailto:postmaster@one.example");
  }
  // The findings that are not good, as "severity record: text -> remedy".
  std::string troubles() {
    std::string out;
    for (const auto& f : run(check_own_dns(dns_, fetcher_, *random_, request_)))
      if (f.severity != Severity::good && f.severity != Severity::hint)
        out += std::string(name(f.severity)) + " " + f.record + ": " + f.text + " -> " + f.remedy + "\n";
    return out;
  }

  ZoneResolver dns_;
  NoPolicy fetcher_;
  std::unique_ptr<Random> random_ = make_system_random();
  OwnDnsRequest request_;
};

TEST_F(OwnDnsTest, FindsNothingWhereAllIsPublished) { EXPECT_EQ(troubles(), ""); }

TEST_F(OwnDnsTest, AnAddressMustLeadBothWays) {
  dns_.remove("7.2.0.192.in-addr.arpa", RecordType::ptr);
  EXPECT_EQ(troubles(),
            "error 7.2.0.192.in-addr.arpa PTR: 192.0.2.7 has no PTR: many receivers refuse such mail -> ask "
            "whoever "
            "owns the address 192.0.2.7 for: 7.2.0.192.in-addr.arpa. IN PTR relay.example.\n");
  dns_.ptr("7.2.0.192.in-addr.arpa", "customer-7.provider.example");
  EXPECT_THAT(troubles(),
              HasSubstr("is called customer-7.provider.example, but the relay says relay.example"));
  dns_.remove("relay.example", RecordType::a);
  EXPECT_THAT(troubles(), HasSubstr("the relay's name has no address -> relay.example. IN A 192.0.2.7"));
  dns_.address("relay.example", "192.0.2.8");
  EXPECT_THAT(troubles(), HasSubstr("192.0.2.7 is not among its addresses"));
}

TEST_F(OwnDnsTest, TakesTheAddressesOfTheNameWhereNoneIsTold) {
  request_.addresses.clear();
  EXPECT_EQ(troubles(), "");
  dns_.address("relay.example", "2001:db8::7");
  EXPECT_THAT(troubles(), HasSubstr("2001:db8::7 has no PTR"));
}

TEST_F(OwnDnsTest, SpfMustCoverTheRelay) {
  dns_.remove("one.example", RecordType::txt);
  EXPECT_THAT(troubles(),
              HasSubstr("error one.example TXT (SPF): no SPF record -> one.example. IN TXT \"v=spf1 "
                        "a:relay.example -all\""));
  dns_.txt("one.example", "v=spf1 mx -all");
  EXPECT_THAT(troubles(), HasSubstr("192.0.2.7: fail by one.example: \"-all\" -> add ip4:192.0.2.7 or "
                                    "a:relay.example before the last term"));
}

TEST_F(OwnDnsTest, AKeyThatSignsMustBePublishedOneThatWaitsShould) {
  dns_.remove("s1._domainkey.one.example", RecordType::txt);
  EXPECT_THAT(troubles(),
              HasSubstr("error s1._domainkey.one.example TXT (DKIM): missing: there is no record -> "
                        "s1._domainkey.one.example. IN TXT ( \"v=DKIM1; k=rsa; p=AAAA\" )"));
  request_.keys[0].in_use = false;
  EXPECT_THAT(troubles(), HasSubstr("warning s1._domainkey"));
  request_.keys[0].record.clear();
  request_.keys[0].trouble = "there is no key";
  EXPECT_THAT(troubles(), HasSubstr("there is no key -> holdfast dkim keygen one.example --selector s1"));
}

TEST_F(OwnDnsTest, ReportsNeedOneSoundRecord) {
  dns_.txt("_smtp._tls.one.example", "v=TLSRPTv1; rua=mailto:other@one.example");
  EXPECT_THAT(troubles(), HasSubstr("error _smtp._tls.one.example TXT (TLS-RPT)"));
}

TEST_F(OwnDnsTest, AnAnnouncedPolicyMustBeServedAndFit) {
  dns_.mx("one.example", 10, "mx.one.example");
  dns_.txt("_mta-sts.one.example", "v=STSv1; id=1");
  EXPECT_THAT(troubles(), HasSubstr("error _mta-sts.one.example TXT (MTA-STS): the policy cannot be had"));
  auto policy = StsPolicy::parse("version: STSv1\nmode: enforce\nmx: mx.one.example\nmax_age: 604800\n");
  ASSERT_TRUE(policy);
  fetcher_.policy = *policy;
  EXPECT_EQ(troubles(), "");
  dns_.mx("one.example", 20, "stray.example");
  EXPECT_THAT(troubles(), HasSubstr("stray.example"));
}

TEST(OwnDnsRequest, HasTheNamesOfDnsHoweverTheConfigurationWritesThem) {
  Settings settings;
  settings.hostname = "Relay.Example";
  SourceSettings source;
  source.address = "192.0.2.7";
  source.hostname = "OUT.relay.example";
  settings.sources.push_back(source);
  settings.tlsrpt.contact = "Postmaster@B\xC3\xBC\x63her.Example";
  settings.dkim.key_dir = "/nonexistent";
  const OwnDnsRequest request = own_dns_request(settings, {}, {});
  EXPECT_EQ(request.hostname, "relay.example");
  EXPECT_THAT(request.names, testing::ElementsAre("relay.example", "out.relay.example"));
  EXPECT_THAT(request.domains, testing::ElementsAre("xn--bcher-kva.example"));
}

TEST_F(OwnDnsTest, SilenceIsNotAnAnswer) {
  dns_.fail("_smtp._tls.one.example", DnsStatus::timed_out);
  EXPECT_THAT(troubles(), HasSubstr("unknown _smtp._tls.one.example TXT (TLS-RPT): the lookup failed"));
  dns_.fail("relay.example", DnsStatus::server_failure);
  EXPECT_THAT(troubles(), HasSubstr("unknown relay.example A, AAAA"));
}

}  // namespace
}  // namespace holdfast
