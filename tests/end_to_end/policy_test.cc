// MTA-STS under attack: what an enforce policy forbids does not happen, whatever stands in the way.
#include "tests/end_to_end/end_to_end.h"

namespace holdfast::world {
namespace {

class Policy : public EndToEnd {
 protected:
  // An enforce domain with one MX, whose settings may be unsound.
  MxHost& add_enforce(const std::string& domain, MxSettings settings = {}) {
    auto& mx = world_.add_simple_domain(domain, std::move(settings));
    world_.publish_policy(domain, "enforce", {mx.name()});
    return mx;
  }

  // Submits to bob@domain and expects that it waits for its policy, with this as the ledger's result.
  void expect_refused(const std::string& domain, const std::string& result, int failed = 1) {
    const auto to = "bob@" + domain;
    submit({to});
    const auto line = wait_for_end(to, "deferred");
    ASSERT_TRUE(line);
    EXPECT_EQ((*line)["enhanced"], "4.7.5") << line->text();
    EXPECT_FALSE(relay_->log({{"event", "policy_refused"}}).empty()) << relay_->transcript();
    const auto waiting = wait_for_listed(to, "deferred");
    ASSERT_TRUE(waiting);
    EXPECT_NE((*waiting)["reason"], "") << waiting->text();
    const std::vector<Counted> expected = {{"sts", 0, failed, {result}}};
    EXPECT_EQ(wait_for_counts(domain, expected), expected);
    EXPECT_TRUE(world_.journal().mails().empty());
  }

  // A quiet hour between attempts, so that what is counted is one attempt.
  static std::map<std::string, std::string> one_attempt() { return {{"delivery.retry", "[\"1h\"]"}}; }
};

TEST_F(Policy, SendsNotAByteInClearWhenStarttlsIsStripped) {
  add_enforce("stripped.test");
  Tampering strip;
  strip.strip_starttls = true;
  auto& box = world_.interpose("mx.stripped.test", strip);
  start(one_attempt());
  expect_refused("stripped.test", "starttls-not-supported");
  EXPECT_GE(box.connections(), 1u);
  EXPECT_NE(box.from_clients().find("EHLO"), std::string::npos);  // he was asked
  expect_nothing_leaked(box.from_clients(), "bob@stripped.test");
  expect_nothing_leaked(world_.journal().wire_bytes("mx.stripped.test"), "bob@stripped.test");
}

TEST_F(Policy, DeliversOnceTheManInTheMiddleIsGone) {
  add_enforce("stripped.test");
  Tampering strip;
  strip.strip_starttls = true;
  auto& box = world_.interpose("mx.stripped.test", strip);
  start();
  submit({"bob@stripped.test"});
  ASSERT_TRUE(wait_for_end("bob@stripped.test", "deferred"));
  box.set({});
  const auto mail = world_.journal().wait_for_mail_to("bob@stripped.test", Milliseconds(60000));
  ASSERT_TRUE(mail) << relay_->transcript();
  EXPECT_TRUE(mail->tls.on);
  expect_nothing_leaked(box.from_clients(), "bob@stripped.test");
}

TEST_F(Policy, RefusesACertificateForAnotherHost) {
  MxSettings settings;
  settings.tls.identity = world_.authority().issue("elsewhere.test");
  auto& mx = add_enforce("wrongcert.test", settings);
  start(one_attempt());
  expect_refused("wrongcert.test", "certificate-host-mismatch");
  expect_nothing_leaked(world_.journal().wire_bytes(mx.name()), "bob@wrongcert.test");
}

TEST_F(Policy, RefusesAnExpiredCertificate) {
  CertificateSpec expired;
  expired.dns_names = {"mx.expired.test"};
  expired.valid_from = std::chrono::hours(-48);
  expired.valid_until = std::chrono::hours(-1);
  MxSettings settings;
  settings.tls.identity = world_.authority().issue(expired);
  add_enforce("expired.test", settings);
  start(one_attempt());
  expect_refused("expired.test", "certificate-expired");
}

TEST_F(Policy, RefusesACertificateThatNobodyTrusts) {
  MxSettings settings;
  settings.tls.identity = world_.other_authority().issue("mx.untrusted.test");
  add_enforce("untrusted.test", settings);
  start(one_attempt());
  expect_refused("untrusted.test", "certificate-not-trusted");
}

TEST_F(Policy, RefusesACertificateThatNamesTheHostOnlyInItsCommonName) {
  CertificateSpec common;
  common.common_name = "mx.cn.test";
  MxSettings settings;
  settings.tls.identity = world_.authority().issue(common);
  add_enforce("cn.test", settings);
  start(one_attempt());
  expect_refused("cn.test", "certificate-host-mismatch");
}

TEST_F(Policy, DoesNotEvenConnectToAnMxOutsideThePolicy) {
  world_.add_mx("mx.attacker.test");
  world_.add_domain("straymx.test", {"mx.attacker.test"});
  world_.publish_policy("straymx.test", "enforce", {"mx.straymx.test"});
  start(one_attempt());
  expect_refused("straymx.test", "validation-failure");
  EXPECT_TRUE(world_.journal().sessions("mx.attacker.test").empty());
}

TEST_F(Policy, WaitsWhenStarttlsIsRefused) {
  auto& mx = add_enforce("refused.test");
  mx.on(Stage::starttls, Reaction::reply("454 4.7.0 TLS not available"));
  start(one_attempt());
  expect_refused("refused.test", "starttls-not-supported");
  expect_nothing_leaked(world_.journal().wire_bytes(mx.name()), "bob@refused.test");
}

TEST_F(Policy, TakesTextInjectedBehindStarttlsForAnAttack) {
  add_enforce("injected.test");
  Tampering inject;
  inject.inject_after_starttls = "250-mx.injected.test\r\n250 OK\r\n";
  auto& box = world_.interpose("mx.injected.test", inject);
  start(one_attempt());
  submit({"bob@injected.test"});
  const auto line = wait_for_end("bob@injected.test", "deferred");
  ASSERT_TRUE(line);
  EXPECT_EQ((*line)["enhanced"], "4.7.5") << line->text();
  EXPECT_TRUE(world_.journal().mails().empty());
  expect_nothing_leaked(box.from_clients(), "bob@injected.test");
}

TEST_F(Policy, LetsNoInjectedGreetingBounceMail) {
  auto& mx = add_enforce("greeting.test");
  mx.on(Stage::connect, Reaction::reply("554 5.7.1 go away"), "", 1);
  start();
  submit({"bob@greeting.test"});
  EXPECT_TRUE(wait_for_end("bob@greeting.test", "deferred"));
  EXPECT_TRUE(world_.journal().wait_for_mail_to("bob@greeting.test", Milliseconds(60000)))
      << relay_->transcript();
  EXPECT_TRUE(relay_->log({{"event", "bounced"}}).empty());
}

TEST_F(Policy, GoesOnToAnMxThatMeetsThePolicy) {
  MxSettings bad;
  bad.tls.identity = world_.other_authority().issue("mx1.two.test");
  world_.add_mx("mx1.two.test", bad);
  world_.add_mx("mx2.two.test");
  world_.add_domain("two.test", {"mx1.two.test", "mx2.two.test"});
  world_.publish_policy("two.test", "enforce", {"*.two.test"});
  start();
  submit({"bob@two.test"});
  const auto mail = world_.journal().wait_for_mail_to("bob@two.test");
  ASSERT_TRUE(mail) << relay_->transcript();
  EXPECT_EQ(mail->mx, "mx2.two.test");
  const std::vector<Counted> both = {{"sts", 1, 1, {"certificate-not-trusted"}}};
  EXPECT_EQ(wait_for_counts("two.test", both), both);
}

TEST_F(Policy, DeliversInTestingAndRecordsWhatWouldHaveFailed) {
  MxSettings settings;
  settings.tls.identity = world_.authority().issue("elsewhere.test");
  world_.add_simple_domain("testing.test", settings);
  world_.publish_policy("testing.test", "testing", {"mx.testing.test"});
  start();
  submit({"bob@testing.test"});
  EXPECT_TRUE(world_.journal().wait_for_mail_to("bob@testing.test")) << relay_->transcript();
  const std::vector<Counted> expected = {{"sts", 0, 1, {"certificate-host-mismatch"}}};
  EXPECT_EQ(wait_for_counts("testing.test", expected), expected);
}

TEST_F(Policy, DeliversAsWithoutPolicyWhenItCannotBeFetched) {
  MxSettings clear;
  clear.starttls = false;
  world_.add_simple_domain("fetchfail.test", clear);
  world_.publish_policy("fetchfail.test", "enforce", {"mx.fetchfail.test"});
  HttpReply missing;
  missing.status = 404;
  world_.https().serve("mta-sts.fetchfail.test", missing);
  start();
  submit({"bob@fetchfail.test"});
  EXPECT_TRUE(world_.journal().wait_for_mail_to("bob@fetchfail.test")) << relay_->transcript();
  const auto counted = [&] {
    for (const auto& policy : counts("fetchfail.test")) {
      const bool fetch_error = !policy.results.empty() && policy.results[0] == "sts-policy-fetch-error";
      if (policy.type == "sts" && policy.failed > 0 && fetch_error) return true;
    }
    return false;
  };
  EXPECT_TRUE(eventually(counted, Milliseconds(10000)));
}

TEST_F(Policy, KeepsEnforcingACachedPolicyWhenItsHostIsDownAndAfterARestart) {
  add_enforce("cached.test");
  start();
  submit({"first@cached.test"});
  ASSERT_TRUE(world_.journal().wait_for_mail_to("first@cached.test")) << relay_->transcript();

  // The attacker takes record and policy host away, then strips STARTTLS.
  world_.dns().set_fault("_mta-sts.cached.test", "*", DnsFault::servfail);
  HttpReply dead;
  dead.fault = HttpFault::drop;
  world_.https().serve("mta-sts.cached.test", dead);
  Tampering strip;
  strip.strip_starttls = true;
  auto& box = world_.interpose("mx.cached.test", strip);
  EXPECT_EQ(relay_->terminate(), 0) << relay_->transcript();
  ASSERT_TRUE(relay_->start()) << relay_->transcript();

  submit({"bob@cached.test"});
  const auto line = wait_for_end("bob@cached.test", "deferred");
  ASSERT_TRUE(line);
  EXPECT_EQ((*line)["enhanced"], "4.7.5") << line->text();
  expect_nothing_leaked(box.from_clients(), "bob@cached.test");

  // Gone altogether is no better than failing.
  world_.dns().set_fault("_mta-sts.cached.test", "*", DnsFault::none);
  world_.dns().remove("_mta-sts.cached.test", "TXT");
  EXPECT_TRUE(box.connections() > 0);
  box.set({});
  const auto mail = world_.journal().wait_for_mail_to("bob@cached.test", Milliseconds(60000));
  ASSERT_TRUE(mail) << relay_->transcript();
  EXPECT_TRUE(mail->tls.on);
}

TEST_F(Policy, TreatsModeNoneAsNoPolicy) {
  MxSettings clear;
  clear.starttls = false;
  world_.add_simple_domain("none.test", clear);
  world_.publish_policy("none.test", "none", {});
  start();
  submit({"bob@none.test"});
  EXPECT_TRUE(world_.journal().wait_for_mail_to("bob@none.test")) << relay_->transcript();
}

}  // namespace
}  // namespace holdfast::world
