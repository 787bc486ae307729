// `holdfast check`: the dry run says what a delivery would meet, with the evidence, and sends nothing.
#include <fstream>

#include "tests/end_to_end/end_to_end.h"

namespace holdfast::world {
namespace {

class Check : public EndToEnd {
 protected:
  // A relay that is configured and does not run: check needs none.
  void configure(std::map<std::string, std::string> settings = {}, const std::string& more = {}) {
    RelayOptions options;
    options.binary = HOLDFAST_BINARY;
    options.settings = std::move(settings);
    options.more = more;
    relay_ = std::make_unique<Relay>(world_, std::move(options));
  }
  void add_enforce(const std::string& domain, MxSettings settings = {}) {
    world_.add_simple_domain(domain, std::move(settings));
    world_.publish_policy(domain, "enforce", {"mx." + domain});
    world_.publish_tlsrpt(domain, "mailto:tls@" + domain);
  }
  // The one JSON object; the exit code in code_.
  JsonLine check(const std::string& domain) {
    const auto end = relay_->run({"check", domain, "--json"});
    code_ = end.code;
    auto line = JsonLine::parse(end.out);
    EXPECT_TRUE(line) << end.out << end.err;
    return line ? *line : *JsonLine::parse("{}");
  }
  std::string text(const std::string& domain) {
    const auto end = relay_->run({"check", domain});
    code_ = end.code;
    EXPECT_EQ(end.err, "");
    return end.out;
  }
  void expect_no_mail_command() {
    EXPECT_TRUE(world_.journal().mails().empty());
    for (const auto& session : world_.journal().sessions())
      for (const auto& command : session.commands) EXPECT_FALSE(command.starts_with("MAIL")) << command;
  }
  std::string tlsa_name(const std::string& host) {
    return "_" + std::to_string(world_.mx_port()) + "._tcp." + host;
  }
  void add_dane(const std::string& domain, const std::string& certificate) {
    world_.dns().set_secure(domain, true);
    world_.dns().add(tlsa_name("mx." + domain), "TLSA", "3 1 1 " + tlsa_association(certificate, 1, 1));
  }
  static void expect_holds(const std::string& text, std::initializer_list<const char*> parts) {
    for (const char* part : parts)
      EXPECT_NE(text.find(part), std::string::npos) << part << " is missing in\n" << text;
  }

  int code_ = -1;
};

TEST_F(Check, ShowsASoundEnforcedDomainWithItsEvidenceAndSendsNothing) {
  add_enforce("sound.test");
  configure();
  const auto line = check("sound.test");
  EXPECT_EQ(code_, 0) << line.text();
  const std::map<std::string, std::string> expected = {
      {"schema", "1"},
      {"domain", "sound.test"},
      {"verdict", "delivered"},
      {"policy.state", "present"},
      {"policy.mode", "enforce"},
      {"policy.id", "1"},
      {"policy.source", "fetched"},
      {"policy.mx.0", "mx.sound.test"},
      {"mx.0.host", "mx.sound.test"},
      {"mx.0.verdict", "delivered"},
      {"mx.0.pattern", "mx.sound.test"},
      {"mx.0.requirement.level", "authenticated"},
      {"mx.0.requirement.pkix", "mx.sound.test"},
      {"mx.0.evidence.0.reached", "true"},
      {"mx.0.evidence.0.clear", "false"},
      {"mx.0.evidence.0.tls.version", "TLSv1.3"},
      {"mx.0.evidence.0.tls.sni", "mx.sound.test"},
      {"mx.0.evidence.0.tls.pkix_verified", "true"},
      {"mx.0.evidence.0.tls.requiretls_offered", "false"},
      {"mx.0.evidence.0.tls.chain.0.names.0", "mx.sound.test"},
      {"tlsrpt.targets.0", "mailto:tls@sound.test"},
      {"tlsrpt.report.policies.0.policy.policy-type", "sts"},
      {"tlsrpt.report.policies.0.summary.total-successful-session-count", "1"},
      {"tlsrpt.report.policies.0.summary.total-failure-session-count", "0"},
  };
  for (const auto& [name, value] : expected) EXPECT_EQ(line[name], value) << name << " in " << line.text();
  EXPECT_NE(line["mx.0.evidence.0.tls.chain.0.not_after"], "");
  EXPECT_NE(line["mx.0.evidence.0.tls.chain.0.key"], "");
  EXPECT_FALSE(line.has({{"mx.0.hint", ""}}));
  EXPECT_NE(line.text().find(R"("name":"sound.test","type":"MX")"), std::string::npos) << line.text();
  expect_no_mail_command();

  const auto shown = text("sound.test");
  EXPECT_EQ(code_, 0);
  expect_holds(shown, {"sound.test: a message would be delivered as the domain asks",
                       "sound.test MX  not secure, ttl 1: 10 mx.sound.test",
                       "mode enforce, id 1, mx mx.sound.test", "fetched now from https://mta-sts.sound.test/",
                       "MX 10 mx.sound.test: delivered", "matches mx.sound.test of the MTA-STS policy",
                       "its certificate is verified for mx.sound.test", "certificate 0: mx.sound.test",
                       "sts sound.test: 1 successful, 0 failed", "reports go to mailto:tls@sound.test"});
  expect_no_mail_command();
}

TEST_F(Check, HoldsWhenStarttlsIsStripped) {
  add_enforce("stripped.test");
  Tampering strip;
  strip.strip_starttls = true;
  auto& box = world_.interpose("mx.stripped.test", strip);
  configure();
  const auto line = check("stripped.test");
  EXPECT_EQ(code_, 1);
  EXPECT_EQ(line["verdict"], "held") << line.text();
  EXPECT_EQ(line["mx.0.verdict"], "held");
  EXPECT_EQ(line["message.enhanced"], "4.7.5");
  EXPECT_EQ(line["message.policy"], "sts enforce starttls-not-supported");
  EXPECT_NE(line["mx.0.hint"].find("STARTTLS"), std::string::npos) << line.text();
  EXPECT_EQ(line["tlsrpt.report.policies.0.failure-details.0.result-type"], "starttls-not-supported");
  expect_holds(text("stripped.test"),
               {"stripped.test: a message would be held", "4.7.5",
                "hint: let mx.stripped.test offer STARTTLS", "starttls-not-supported mx.stripped.test"});
  EXPECT_EQ(code_, 1);
  expect_nothing_leaked(box.from_clients(), "bob@stripped.test");
}

TEST_F(Check, NamesWhatTheWrongCertificateCarries) {
  MxSettings settings;
  settings.tls.identity = world_.authority().issue("elsewhere.test");
  add_enforce("wrongcert.test", settings);
  configure();
  const auto line = check("wrongcert.test");
  EXPECT_EQ(code_, 1);
  EXPECT_EQ(line["verdict"], "held") << line.text();
  EXPECT_EQ(line["mx.0.evidence.0.tls.chain.0.names.0"], "elsewhere.test") << line.text();
  EXPECT_EQ(line["mx.0.evidence.0.tls.pkix_verified"], "false");
  EXPECT_NE(line["mx.0.hint"].find("elsewhere.test"), std::string::npos);
  EXPECT_EQ(line["tlsrpt.report.policies.0.failure-details.0.result-type"], "certificate-host-mismatch");
  expect_holds(text("wrongcert.test"),
               {"held", "certificate 0: elsewhere.test", "hint: give mx.wrongcert.test a certificate"});
}

TEST_F(Check, DoesNotConnectToAnMxOutsideThePolicy) {
  world_.add_mx("mx.attacker.test");
  world_.add_domain("stray.test", {"mx.attacker.test"});
  world_.publish_policy("stray.test", "enforce", {"mx.stray.test"});
  configure();
  const auto line = check("stray.test");
  EXPECT_EQ(code_, 1);
  EXPECT_EQ(line["verdict"], "held") << line.text();
  EXPECT_EQ(line["mx.0.usable"], "false");
  EXPECT_EQ(line["message.policy"], "sts enforce mx-not-in-policy");
  EXPECT_TRUE(world_.journal().sessions("mx.attacker.test").empty());
  EXPECT_EQ(line["tlsrpt.report.policies.0.failure-details.0.failure-reason-code"], "mx-not-in-policy");
  expect_holds(text("stray.test"),
               {"matches none of mx.stray.test", "hint: list mx.attacker.test in the mx lines"});
}

TEST_F(Check, GoesOnToTheSoundMxBehindAFailingOne) {
  MxSettings settings;
  settings.tls.identity = world_.authority().issue("elsewhere.test");
  world_.add_mx("mx1.two.test", settings);
  world_.add_mx("mx2.two.test");
  world_.add_domain("two.test", {"mx1.two.test", "mx2.two.test"});
  world_.publish_policy("two.test", "enforce", {"*.two.test"});
  configure();
  const auto line = check("two.test");
  EXPECT_EQ(code_, 0);
  EXPECT_EQ(line["verdict"], "delivered") << line.text();
  EXPECT_EQ(line["mx.0.verdict"], "held");
  EXPECT_EQ(line["mx.1.verdict"], "delivered");
  EXPECT_EQ(line["mx.1.pattern"], "*.two.test");
  EXPECT_EQ(line["message.mx"], "mx2.two.test");
  EXPECT_EQ(line["tlsrpt.report.policies.0.summary.total-successful-session-count"], "1");
  EXPECT_EQ(line["tlsrpt.report.policies.0.summary.total-failure-session-count"], "1");
}

TEST_F(Check, DeliversInTestingAndTellsWhatWouldFail) {
  MxSettings settings;
  settings.tls.identity = world_.authority().issue("elsewhere.test");
  world_.add_simple_domain("testing.test", settings);
  world_.publish_policy("testing.test", "testing", {"mx.testing.test"});
  configure();
  const auto line = check("testing.test");
  EXPECT_EQ(code_, 0);
  EXPECT_EQ(line["verdict"], "delivered") << line.text();
  EXPECT_EQ(line["mx.0.mode"], "testing");
  EXPECT_NE(line["mx.0.hint"], "");
  EXPECT_EQ(line["tlsrpt.report.policies.0.failure-details.0.result-type"], "certificate-host-mismatch");
  expect_holds(text("testing.test"), {"delivered as the domain asks", "its certificate would not do"});
}

TEST_F(Check, VerifiesDaneAndSaysWhichRecordMatched) {
  const auto identity = self_signed({});
  MxSettings settings;
  settings.tls.identity = identity;
  world_.add_simple_domain("dane.test", settings);
  add_dane("dane.test", identity.chain_pem);
  configure();
  const auto line = check("dane.test");
  EXPECT_EQ(code_, 0);
  EXPECT_EQ(line["verdict"], "delivered") << line.text();
  EXPECT_EQ(line["mx_secure"], "true");
  EXPECT_EQ(line["mx.0.addresses_secure"], "true");
  EXPECT_EQ(line["mx.0.policy"], "dane");
  EXPECT_EQ(line["mx.0.evidence.0.tls.dane_verified"], "true");
  EXPECT_EQ(line["mx.0.evidence.0.tls.dane_match"], "3 1 1 at depth 0");
  EXPECT_EQ(line["tlsrpt.report.policies.0.policy.policy-type"], "tlsa");
  expect_holds(text("dane.test"), {"dane.test MX  secure", "TLSA  secure", "TLSA matches: 3 1 1 at depth 0",
                                   "must show a match of TLSA at mx.dane.test"});
}

TEST_F(Check, HoldsOnATlsaMismatch) {
  const auto identity = self_signed({});
  MxSettings settings;
  settings.tls.identity = self_signed({});
  world_.add_simple_domain("dane.test", settings);
  add_dane("dane.test", identity.chain_pem);
  configure();
  const auto line = check("dane.test");
  EXPECT_EQ(code_, 1);
  EXPECT_EQ(line["verdict"], "held") << line.text();
  EXPECT_EQ(line["message.enhanced"], "4.7.5");
  EXPECT_EQ(line["mx.0.evidence.0.tls.dane_verified"], "false") << line.text();
  EXPECT_NE(line["mx.0.hint"].find("TLSA"), std::string::npos);
  expect_holds(text("dane.test"), {"a message would be held", "hint: the TLSA records of mx.dane.test"});
}

TEST_F(Check, CannotTellWhenTheTlsaLookupFails) {
  const auto identity = self_signed({});
  MxSettings settings;
  settings.tls.identity = identity;
  world_.add_simple_domain("dane.test", settings);
  add_dane("dane.test", identity.chain_pem);
  world_.dns().set_fault(tlsa_name("mx.dane.test"), "*", DnsFault::servfail);
  configure();
  const auto line = check("dane.test");
  EXPECT_EQ(code_, 75);
  EXPECT_EQ(line["verdict"], "unknown") << line.text();
  EXPECT_TRUE(world_.journal().sessions("mx.dane.test").empty());
}

TEST_F(Check, TellsThatNothingProtectsADomainWithoutPolicy) {
  world_.add_simple_domain("plain.test");
  configure();
  const auto line = check("plain.test");
  EXPECT_EQ(code_, 0);
  EXPECT_EQ(line["verdict"], "delivered") << line.text();
  EXPECT_EQ(line["policy.state"], "absent");
  EXPECT_EQ(line["mx.0.requirement.clear_allowed"], "true");
  EXPECT_EQ(line["tlsrpt.report.policies.0.policy.policy-type"], "no-policy-found");
  expect_holds(text("plain.test"), {"no policy", "must show nothing; TLS is used if it is offered",
                                    "hint: mx.plain.test would pass: publish"});
}

TEST_F(Check, SaysThatAMessageWouldGoInClear) {
  MxSettings clear;
  clear.starttls = false;
  world_.add_simple_domain("clear.test", clear);
  auto& broken = world_.add_simple_domain("broken.test");
  broken.on(Stage::handshake, Reaction::drop());
  configure();
  for (const char* domain : {"clear.test", "broken.test"}) {
    const auto line = check(domain);
    EXPECT_EQ(code_, 0);
    EXPECT_EQ(line["mx.0.evidence.0.clear"], "true") << line.text();
    expect_holds(text(domain), {"a message would go in clear"});
  }
}

TEST_F(Check, GoesOnWithoutAPolicyThatIsAnnouncedAndNotServed) {
  add_enforce("unserved.test");
  HttpReply missing;
  missing.status = 404;
  world_.https().serve("mta-sts.unserved.test", missing);
  configure();
  const auto line = check("unserved.test");
  EXPECT_EQ(code_, 0);
  EXPECT_EQ(line["policy.fetch_failure"], "http-status") << line.text();
  EXPECT_EQ(line["tlsrpt.report.policies.0.failure-details.0.result-type"], "sts-policy-fetch-error");
  EXPECT_NE(line["mx.0.hint"].find("https://mta-sts.unserved.test/"), std::string::npos);
}

TEST_F(Check, KnowsThePolicyThatTheRelayHasCached) {
  add_enforce("cached.test");
  start();
  ASSERT_EQ(relay_->run({"sts", "refresh", "cached.test"}).code, 0) << relay_->transcript();
  HttpReply dead;
  dead.fault = HttpFault::drop;
  world_.https().serve("mta-sts.cached.test", dead);
  world_.dns().replace("_mta-sts.cached.test", "TXT", "v=STSv1; id=2;");
  const auto line = check("cached.test");
  EXPECT_EQ(code_, 0);
  EXPECT_EQ(line["policy.source"], "cache") << line.text();
  EXPECT_EQ(line["policy.mode"], "enforce");
  EXPECT_NE(line["policy.live_failure"], "");
  expect_holds(text("cached.test"), {"from the relay's cache, fetched", "it cannot be fetched now"});
}

TEST_F(Check, TellsDomainsThatTakeNoMailFromThoseItCannotLookUp) {
  world_.dns().add("null.test", "MX", "0 .");
  world_.dns().set_fault("broken.test", "*", DnsFault::servfail);
  configure();
  EXPECT_EQ(check("null.test")["verdict"], "bounced");
  EXPECT_EQ(code_, 1);
  EXPECT_EQ(check("nowhere.test")["message.enhanced"], "5.1.2");
  EXPECT_EQ(code_, 1);
  EXPECT_EQ(check("broken.test")["verdict"], "unknown");
  EXPECT_EQ(code_, 75);
  EXPECT_EQ(relay_->run({"check", "not a domain"}).code, 64);
}

TEST_F(Check, LintsADomainAsItIsPublishedAndAFileBeforeItIs) {
  add_enforce("sound.test");
  world_.add_mx("mx.other.test");
  world_.add_domain("stray.test", {"mx.other.test"});
  world_.publish_policy("stray.test", "enforce", {"mx.stray.test"});
  add_enforce("invalid.test");
  HttpReply invalid;
  invalid.body = "version: STSv1\nmode: enforced\nmx: mx.invalid.test\nmax_age: 86400\n";
  world_.https().serve("mta-sts.invalid.test", invalid);
  configure();
  EXPECT_EQ(relay_->run({"sts", "lint", "sound.test"}).code, 0);
  const auto stray = relay_->run({"sts", "lint", "stray.test"});
  EXPECT_EQ(stray.code, 1);
  expect_holds(stray.out, {"error: mx: mx.other.test is in the MX set but matches no mx"});
  const auto wrong = relay_->run({"sts", "lint", "invalid.test"});
  EXPECT_EQ(wrong.code, 1);
  expect_holds(wrong.out, {"error: policy: line 2: mode"});
  const auto file = world_.folder() / "policy.txt";
  std::ofstream(file) << "version: STSv1\nmode: enforce\nmx: mx..test\nmax_age: 600\n";
  const auto before = relay_->run({"sts", "lint", file.string()});
  EXPECT_EQ(before.code, 1);
  expect_holds(before.out, {"error: policy line 3", "warning: policy line 4: less than a day"});
  // The record and the MX list that will stand beside it.
  std::ofstream(file) << "version: STSv1\nmode: enforce\nmx: *.mine.test\nmax_age: 604800\n";
  const auto lint_with = [&](const std::string& record, const std::string& mx) {
    return relay_->run({"sts", "lint", file.string(), "--record", record, "--mx", mx});
  };
  EXPECT_EQ(lint_with("v=STSv1; id=1;", "mx.mine.test").code, 0);
  const auto beside = lint_with("v=STSv1; id=not-one;", "mx.other.test");
  EXPECT_EQ(beside.code, 1);
  expect_holds(beside.out,
               {"error: record: id is not", "error: mx: mx.other.test is in the MX set but matches no"});
  const auto missing = relay_->run({"sts", "lint", "sender.test"});
  EXPECT_EQ(missing.code, 1);
  expect_holds(missing.out, {"error: record: no TXT record begins with"});
}

TEST_F(Check, GeneratesASetUpThatItsOwnLintFindsSound) {
  world_.add_simple_domain("mine.test");
  configure();
  const auto made = relay_->run_json({"sts", "generate", "mine.test", "--mode", "enforce"});
  ASSERT_EQ(made.size(), 1u);
  EXPECT_TRUE(made[0]["record"].starts_with("v=STSv1; id="));
  EXPECT_EQ(made[0]["policy"], "version: STSv1\r\nmode: enforce\r\nmx: mx.mine.test\r\nmax_age: 604800\r\n");
  HttpReply served;
  served.body = made[0]["policy"];
  world_.https().serve("mta-sts.mine.test", served);
  world_.dns().replace("mta-sts.mine.test", "A", world_.https().endpoint().ip);
  world_.dns().replace("_mta-sts.mine.test", "TXT", made[0]["record"]);
  const auto lint = relay_->run({"sts", "lint", "mine.test"});
  EXPECT_EQ(lint.out, "nothing to mend\n") << lint.err;
  EXPECT_EQ(relay_->run({"sts", "generate", "mine.test", "--mode", "strict"}).code, 64);
}

TEST_F(Check, FlushForgetsAPolicyAndDestinationsPauseAndResume) {
  add_enforce("sound.test");
  start();
  ASSERT_EQ(relay_->run({"sts", "refresh", "sound.test"}).code, 0);
  EXPECT_EQ(relay_->run({"sts", "flush", "sound.test"}).out, "flush: 1 policy\n");
  EXPECT_TRUE(relay_->run_json({"sts", "show"}).empty());

  ASSERT_EQ(relay_->run({"destination", "pause", "sound.test"}).code, 0);
  submit({"bob@sound.test"});
  ASSERT_TRUE(eventually([&] {
    return relay_->run_json({"destination", "show", "sound.test"}).size() == 1;
  }));
  EXPECT_EQ(relay_->run_json({"destination", "show", "sound.test"})[0]["state"], "paused");
  EXPECT_TRUE(world_.journal().mails().empty());
  ASSERT_EQ(relay_->run({"destination", "resume", "sound.test"}).code, 0);
  EXPECT_TRUE(world_.journal().wait_for_mail_to("bob@sound.test")) << relay_->transcript();
  EXPECT_EQ(relay_->run({"destination", "show", "unknown.test"}).code, 1);
}

}  // namespace
}  // namespace holdfast::world
