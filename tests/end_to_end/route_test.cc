// [[route]]: mail that goes another way, on terms that the route raises. What a delivery meets there is what
// `holdfast check` says.
#include "tests/end_to_end/end_to_end.h"

namespace holdfast::world {
namespace {

class Routes : public EndToEnd {
 protected:
  Routes() { world_.add_simple_domain("corp.test"); }

  // For corp.test, one attempt an hour; `via` as the file has it, `@` for the MX port.
  void start_with(std::string via, const std::string& terms) {
    for (std::size_t at = 0; (at = via.find('@')) != std::string::npos;)
      via.replace(at, 1, std::to_string(world_.mx_port()));
    start({{"delivery.retry", "[\"1h\"]"}},
          "\n[[route]]\nrecipients = [\"corp.test\"]\nvia = [" + via + "]\n" + terms);
  }
  JsonLine check() {
    const auto end = relay_->run({"check", "corp.test", "--json"});
    code_ = end.code;
    auto line = JsonLine::parse(end.out);
    EXPECT_TRUE(line) << end.out << end.err;
    return line ? *line : *JsonLine::parse("{}");
  }
  static MxSettings only_tls12(const std::string& cipher) {
    MxSettings settings;
    settings.tls.max_version = "1.2";
    settings.tls.ciphers = cipher;
    return settings;
  }
  void expect_held_for_policy() {
    submit({"bob@corp.test"});
    const auto line = wait_for_end("bob@corp.test", "deferred");
    ASSERT_TRUE(line);
    EXPECT_EQ((*line)["enhanced"], "4.7.5") << line->text();
    EXPECT_TRUE(world_.journal().mails().empty());
  }

  int code_ = -1;
};

TEST_F(Routes, AreVerifiedByTheirOwnHostAndCheckExaminesThem) {
  MxSettings bad;
  bad.tls.identity = world_.authority().issue("elsewhere.test");
  world_.add_mx("smart.test", bad);
  start_with("\"smart.test:@\"", "tls = \"verify\"\n");
  const auto line = check();
  EXPECT_EQ(code_, 1);
  EXPECT_EQ(line["verdict"], "held") << line.text();
  EXPECT_EQ(line["mx.0.host"], "smart.test");
  EXPECT_EQ(line["mx.0.via"], "smart.test:" + std::to_string(world_.mx_port()));
  EXPECT_EQ(line["mx.0.requirement.pkix"], "smart.test");
  EXPECT_EQ(line["hops.0.next_hop"], "smart.test");
  EXPECT_EQ(line["mx.1.host"], "") << "the domain's own MX has no part in it";
  const auto shown = relay_->run({"check", "corp.test"}).out;
  EXPECT_NE(shown.find("a [[route]] takes mail for this domain to smart.test"), std::string::npos) << shown;
  EXPECT_NE(shown.find("next hop smart.test"), std::string::npos) << shown;
  expect_held_for_policy();
  EXPECT_TRUE(world_.journal().sessions("mx.corp.test").empty());
}

TEST_F(Routes, FailOverAndCheckWalksAllNextHops) {
  auto& dead = world_.add_mx("one.test");
  world_.add_mx("two.test");
  dead.stop_listening();
  start_with("\"one.test:@\", \"two.test:@\"", "tls = \"verify\"\n");
  const auto line = check();
  EXPECT_EQ(code_, 0);
  EXPECT_EQ(line["verdict"], "delivered") << line.text();
  EXPECT_EQ(line["mx.0.verdict"], "held");
  EXPECT_EQ(line["mx.1.verdict"], "delivered");
  EXPECT_EQ(line["message.mx"], "two.test");
  EXPECT_EQ(line["tlsrpt.report.policies.0.policy.policy-domain"], "two.test");
  submit({"bob@corp.test"});
  const auto mail = world_.journal().wait_for_mail_to("bob@corp.test");
  ASSERT_TRUE(mail) << relay_->transcript();
  EXPECT_EQ(mail->mx, "two.test");
}

// RFC 8461 section 3.4: the policy domain is the one named in `via`; the route cannot lower what it asks.
TEST_F(Routes, AreHeldToThePolicyOfTheDomainTheyLeadTo) {
  world_.add_mx("mx.attacker.test");
  world_.add_domain("hub.test", {"mx.attacker.test"});
  world_.publish_policy("hub.test", "enforce", {"mx.hub.test"});
  start_with("\"mx:hub.test\"", "tls = \"opportunistic\"\n");
  const auto line = check();
  EXPECT_EQ(code_, 1);
  EXPECT_EQ(line["verdict"], "held") << line.text();
  EXPECT_EQ(line["policy.mx.0"], "mx.hub.test");
  EXPECT_EQ(line["message.policy"], "sts enforce mx-not-in-policy");
  expect_held_for_policy();
  EXPECT_TRUE(world_.journal().sessions("mx.attacker.test").empty());
  const std::vector<Counted> expected = {{"sts", 0, 1, {"validation-failure"}}};
  EXPECT_EQ(wait_for_counts("hub.test", expected), expected);
}

TEST_F(Routes, MayBeginWithTlsAndCheckDoesSoToo) {
  MxSettings implicit;
  implicit.implicit_tls = true;
  world_.add_mx("smart.test", implicit);
  start_with("\"tls://smart.test:@\"", "tls = \"verify\"\n");
  const auto line = check();
  EXPECT_EQ(code_, 0);
  EXPECT_EQ(line["verdict"], "delivered") << line.text();
  EXPECT_EQ(line["hops.0.implicit_tls"], "true");
  EXPECT_EQ(line["mx.0.evidence.0.tls.pkix_verified"], "true");
  submit({"bob@corp.test"});
  const auto mail = world_.journal().wait_for_mail_to("bob@corp.test");
  ASSERT_TRUE(mail) << relay_->transcript();
  EXPECT_TRUE(mail->tls.on);
}

TEST_F(Routes, OfSomeSendersAreToldOfAndLeaveTheDomainsOwnWay) {
  world_.add_mx("smart.test");
  start({}, "\n[[route]]\nsenders = [\"@vip.test\"]\nvia = [\"smart.test:" +
                std::to_string(world_.mx_port()) + "\"]\n");
  const auto line = check();
  EXPECT_EQ(code_, 0);
  EXPECT_EQ(line["depends_on_sender"], "true");
  EXPECT_EQ(line["mx.0.host"], "mx.corp.test") << line.text();
}

TEST_F(Routes, UseTheCiphersTheyName) {
  world_.add_mx("smart.test", only_tls12("ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305"));
  start_with("\"smart.test:@\"", "ciphers = [\"ECDHE-ECDSA-CHACHA20-POLY1305\"]\n");
  EXPECT_EQ(check()["mx.0.evidence.0.tls.cipher"], "ECDHE-ECDSA-CHACHA20-POLY1305");
  submit({"bob@corp.test"});
  const auto line = wait_for_end("bob@corp.test", "delivered");
  ASSERT_TRUE(line);
  EXPECT_EQ((*line)["tls.cipher"], "ECDHE-ECDSA-CHACHA20-POLY1305") << line->text();
}

TEST_F(Routes, HoldMailBackFromAHostWithoutTheirCiphers) {
  world_.add_mx("smart.test", only_tls12("ECDHE-ECDSA-AES128-GCM-SHA256"));
  start_with("\"smart.test:@\"", "tls = \"required\"\nciphers = [\"ECDHE-ECDSA-CHACHA20-POLY1305\"]\n");
  EXPECT_EQ(check()["verdict"], "held");
  EXPECT_EQ(code_, 1);
  expect_held_for_policy();
}

TEST_F(Routes, HoldMailBackFromAHostBelowTheirMinimumVersion) {
  world_.add_mx("smart.test", only_tls12(""));
  start_with("\"smart.test:@\"", "tls = \"required\"\nmin_version = \"1.3\"\n");
  EXPECT_EQ(check()["verdict"], "held");
  EXPECT_EQ(code_, 1);
  expect_held_for_policy();
}

TEST_F(Routes, ACipherListThatCouldLowerTheTermsIsNoConfiguration) {
  RelayOptions options;
  options.binary = HOLDFAST_BINARY;
  options.more =
      "\n[[route]]\nrecipients = [\"corp.test\"]\nvia = [\"smart.test\"]\nciphers = [\"@SECLEVEL=0\"]\n";
  relay_ = std::make_unique<Relay>(world_, options);
  const auto end = relay_->run({"config", "check"});
  EXPECT_EQ(end.code, 78);
  EXPECT_NE(end.err.find("could lower what TLS asks"), std::string::npos) << end.err;
}

}  // namespace
}  // namespace holdfast::world
