// Nobody in this test is ours but the relay: Debian's Postfix as MX, nginx as policy host (HTTP/2, then
// HTTP/1.1), Unbound as validating resolver below a root that ldnsutils signed. `holdfast check` and a
// delivery verify DANE and MTA-STS through them, and hold on to the mail where a signature or a record lies.
#include "tests/end_to_end/end_to_end.h"
#include "tests/end_to_end/nginx.h"
#include "tests/end_to_end/postfix.h"
#include "tests/end_to_end/unbound.h"

namespace holdfast::world {
namespace {

// Postfix starts only as root: for others an MX of the world stands in, and the rest is the same.
class RealServers : public EndToEnd, public testing::WithParamInterface<bool> {
 protected:
  void SetUp() override {
    for (const auto& why : {Nginx::missing(), Unbound::missing()})
      if (!why.empty()) GTEST_SKIP() << why;
    mx_ = world_.reserve_mx_address();
    CertificateSpec names;
    names.dns_names = {"mx.postfix.test", "mx.bogus.test", "mx.mismatch.test", "mx.plain.test"};
    identity_ = world_.authority().issue(names);
    const bool as_root = Postfix::missing().empty();
    if (!as_root) {
      MxSettings settings;
      settings.tls.identity = identity_;
      mx_ = world_.add_mx("mx.postfix.test", settings).endpoint();
    }
    const std::string right = tlsa("3 1 1 " + tlsa_association(identity_.chain_pem, 1, 1));
    const std::string other = tlsa("3 1 1 " + tlsa_association(self_signed({}).chain_pem, 1, 1));
    const auto spoil_tlsa = [](std::string zone) {
      const auto at = zone.find("TLSA\t3 1 1 ") + 11;
      zone[at] = zone[at] == '0' ? '1' : '0';
      return zone;
    };
    const auto spoil_mx = [](std::string zone) {
      const auto at = zone.find("MX\t10 mx.");
      return zone.replace(at, 9, "MX\t11 mx.");
    };
    unbound_ = std::make_unique<Unbound>(std::vector<Zone>{
        {"postfix.test",
         host() + right + sts() + "_smtp._tls IN TXT \"v=TLSRPTv1; rua=mailto:tls@postfix.test\"\n"},
        {"bogus.test", host() + right, true, spoil_tlsa},
        {"bogusmx.test", "@ IN MX 10 mx.postfix.test.\n", true, spoil_mx},
        {"mismatch.test", host() + other},
        {"plain.test", host() + other, false}});
    ASSERT_TRUE(unbound_->started()) << unbound_->log();
    nginx_ = std::make_unique<Nginx>(world_.authority().issue("mta-sts.postfix.test"),
                                     policy_text("enforce", {"mx.postfix.test"}), GetParam());
    ASSERT_TRUE(nginx_->started()) << nginx_->log();
    if (as_root) {
      postfix_ = std::make_unique<Postfix>(mx_, identity_);
      ASSERT_EQ(postfix_->started().code, 0) << postfix_->started().err << postfix_->log();
    }
    start({{"dns.servers", "[\"" + unbound_->endpoint().text() + "\"]"},
           {"dns.timeout", "\"5s\""},
           {"dns.dnssec", "\"required\""},  // it does not even start unless the resolver validates
           {"sts.https_port", std::to_string(nginx_->endpoint().port)},
           {"delivery.retry", "[\"1h\"]"}});
  }

  std::string host() const { return "@ IN MX 10 mx\nmx IN A " + mx_.ip + "\n"; }
  std::string tlsa(const std::string& record) const {
    return "_" + std::to_string(mx_.port) + "._tcp.mx IN TLSA " + record + "\n";
  }
  static std::string sts() { return "_mta-sts IN TXT \"v=STSv1; id=1;\"\nmta-sts IN A 127.0.0.1\n"; }

  // Whether the MX was connected to; what it was told in clear or under TLS; the mail that it took.
  bool asked() {
    if (postfix_) return postfix_->log().find("connect from") != std::string::npos;
    return !world_.journal().sessions("mx.postfix.test").empty();
  }
  bool heard_of(const std::string& word) {
    if (postfix_) return postfix_->log().find(word) != std::string::npos;
    for (const auto& session : world_.journal().sessions("mx.postfix.test"))
      for (const auto& command : session.commands)
        if (command.find(word) != std::string::npos) return true;
    return false;
  }
  std::string mail() {
    if (postfix_) return postfix_->mail();
    const auto mails = world_.journal().mails();
    return mails.empty() ? "" : mails.front().content;
  }

  JsonLine check(const std::string& domain) {
    const auto end = relay_->run({"check", domain, "--json"});
    code_ = end.code;
    auto line = JsonLine::parse(end.out);
    EXPECT_TRUE(line) << end.out << end.err;
    return line ? *line : *JsonLine::parse("{}");
  }
  std::string metric(const std::string& series) {
    const auto got = run_process({"curl", "-s", "--unix-socket", (relay_->data_dir() / "admin.sock").string(),
                                  "http://relay/metrics"});
    const auto at = got.out.find("\nholdfast_" + series + " ");
    if (at == std::string::npos) return "";
    const auto value = got.out.find(' ', at) + 1;
    return got.out.substr(value, got.out.find('\n', value) - value);
  }

  Endpoint mx_;
  Identity identity_;
  std::unique_ptr<Unbound> unbound_;
  std::unique_ptr<Nginx> nginx_;
  std::unique_ptr<Postfix> postfix_;
  int code_ = -1;
};

INSTANTIATE_TEST_SUITE_P(Http, RealServers, testing::Bool(),
                         [](const auto& param) { return param.param ? "Two" : "OneOne"; });

TEST_P(RealServers, CheckVerifiesDaneAndMtaStsAndTheMessageArrives) {
  const auto line = check("postfix.test");
  EXPECT_EQ(code_, 0) << line.text();
  const std::map<std::string, std::string> expected = {
      {"verdict", "delivered"},
      {"dnssec_validating", "true"},
      {"mx_secure", "true"},
      {"policy.mode", "enforce"},
      {"policy.source", "fetched"},
      {"mx.0.host", "mx.postfix.test"},
      {"mx.0.pattern", "mx.postfix.test"},
      {"mx.0.addresses_secure", "true"},
      {"mx.0.requirement.pkix", "mx.postfix.test"},
      {"mx.0.requirement.dane_base", "mx.postfix.test"},
      {"mx.0.evidence.0.tls.version", "TLSv1.3"},
      {"mx.0.evidence.0.tls.pkix_verified", "true"},
      {"mx.0.evidence.0.tls.dane_verified", "true"},
      {"mx.0.evidence.0.tls.dane_match", "3 1 1 at depth 0"},
      {"tlsrpt.targets.0", "mailto:tls@postfix.test"},
  };
  for (const auto& [name, value] : expected) EXPECT_EQ(line[name], value) << name << " in " << line.text();
  EXPECT_EQ(mail(), "") << "check sends nothing";
  const std::string version = GetParam() ? "HTTP/2.0" : "HTTP/1.1";
  EXPECT_NE(nginx_->requests().find(version + " mta-sts.postfix.test /.well-known/mta-sts.txt 200"),
            std::string::npos)
      << nginx_->requests();

  EXPECT_EQ(metric("dnssec_validating"), "1");
  submit({"bob@postfix.test"});
  const auto delivered = wait_for_end("bob@postfix.test", "delivered");
  ASSERT_TRUE(delivered);
  EXPECT_EQ((*delivered)["mx"], "mx.postfix.test");
  ASSERT_TRUE(eventually([&] { return !mail().empty(); }));
  EXPECT_NE(mail().find(kBodyCanary), std::string::npos);
  // One session, counted under each of the two policies.
  const std::vector<Counted> counted = {{"tlsa", 1, 0, {}}, {"sts", 1, 0, {}}};
  EXPECT_EQ(wait_for_counts("postfix.test", counted), counted);
}

TEST_P(RealServers, ABogusSignatureOverTheTlsaRecordHoldsTheMail) {
  const auto line = check("bogus.test");
  EXPECT_EQ(code_, 75) << line.text();
  EXPECT_EQ(line["verdict"], "unknown");
  EXPECT_EQ(line["mx.0.usable"], "false");
  EXPECT_EQ(line["mx.0.finding"], "the TLSA lookup for the MX failed");
  submit({"bob@bogus.test"});
  const auto deferred = wait_for_end("bob@bogus.test", "deferred");
  ASSERT_TRUE(deferred);
  EXPECT_EQ((*deferred)["enhanced"], "4.7.5") << deferred->text();
  EXPECT_FALSE(asked());
}

TEST_P(RealServers, ABogusSignatureOverTheMxRecordHoldsTheMail) {
  const auto line = check("bogusmx.test");
  EXPECT_EQ(code_, 75) << line.text();
  EXPECT_EQ(line["verdict"], "unknown");
  submit({"bob@bogusmx.test"});
  const auto deferred = wait_for_end("bob@bogusmx.test", "deferred");
  ASSERT_TRUE(deferred);
  EXPECT_EQ((*deferred)["enhanced"], "4.4.3") << deferred->text();
  EXPECT_FALSE(asked());
}

TEST_P(RealServers, AValidlySignedTlsaRecordOfAnotherKeyHoldsTheMail) {
  const auto line = check("mismatch.test");
  EXPECT_EQ(code_, 1) << line.text();
  EXPECT_EQ(line["verdict"], "held");
  EXPECT_EQ(line["mx.0.evidence.0.tls.dane_verified"], "false");
  submit({"bob@mismatch.test"});
  const auto deferred = wait_for_end("bob@mismatch.test", "deferred");
  ASSERT_TRUE(deferred);
  EXPECT_EQ((*deferred)["enhanced"], "4.7.5") << deferred->text();
  EXPECT_FALSE(heard_of("bob@mismatch.test"));
}

TEST_P(RealServers, TlsaRecordsInAnUnsignedZoneProveNothingAndForbidNothing) {
  const auto line = check("plain.test");
  EXPECT_EQ(code_, 0) << line.text();
  EXPECT_EQ(line["verdict"], "delivered");
  EXPECT_EQ(line["mx_secure"], "false");
  EXPECT_EQ(line["mx.0.requirement.level"], "opportunistic");
  EXPECT_EQ(line["mx.0.evidence.0.tls.dane_verified"], "false");
}

// The probe at start: a resolver that forwards without validating is no resolver for `required`, and is told
// of loudly otherwise.
TEST(Resolver, ThatDoesNotValidateIsToldOfAtStart) {
  if (const auto why = Unbound::missing(); !why.empty()) GTEST_SKIP() << why;
  World world;
  world.add_simple_domain("sender.test");
  const Unbound unbound({{"sender.test", "@ IN MX 10 mx\nmx IN A 127.0.0.1\n"}}, false);
  ASSERT_TRUE(unbound.started()) << unbound.log();
  RelayOptions options;
  options.binary = HOLDFAST_BINARY;
  options.settings = {{"dns.servers", "[\"" + unbound.endpoint().text() + "\"]"}, {"dns.timeout", "\"5s\""}};
  {
    Relay relay(world, options);
    ASSERT_TRUE(relay.start()) << relay.transcript();
    EXPECT_TRUE(relay.wait_for_log(
        {{"text", "the resolver was not seen to validate DNSSEC: without it, DANE cannot protect anything"}}))
        << relay.transcript();
  }
  options.settings["dns.dnssec"] = "\"required\"";
  Relay strict(world, options);
  const auto end = run_process({HOLDFAST_BINARY, "serve", "-c", strict.config_file().string()});
  EXPECT_NE(end.code, 0) << end.out;
  EXPECT_NE((end.out + end.err).find("valid"), std::string::npos) << end.out << end.err;
}

}  // namespace
}  // namespace holdfast::world
