// The life of a policy in the relay: when it is looked up and fetched, what raises the alarm, how it ends;
// and the bounds of what a domain can make the relay do.
#include "tests/end_to_end/moved_clock.h"
#include "tests/end_to_end/protocol.h"

namespace holdfast::world {
namespace {

class PolicyLife : public EndToEnd {
 protected:
  std::string metric(const std::string& series) {
    const auto got = run_process({"curl", "-s", "--unix-socket", (relay_->data_dir() / "admin.sock").string(),
                                  "http://relay/metrics"});
    const auto at = got.out.find("\nholdfast_" + series + " ");
    if (at == std::string::npos) return "";
    const auto value = got.out.find(' ', at) + 1;
    return got.out.substr(value, got.out.find('\n', value) - value);
  }
  void deliver(const std::string& user) {
    submit({user + "@d.test"});
    ASSERT_TRUE(world_.journal().wait_for_mail_to(user + "@d.test")) << relay_->transcript();
  }
  // The relay remembers a DNS answer for its second.
  void refresh_until_the_alarm() {
    EXPECT_TRUE(eventually([&] {
      relay_->run({"sts", "refresh", kDomain});
      return !relay_->log({{"event", "sts_downgrade"}}).empty();
    })) << relay_->transcript();
  }
  // The cached enforce policy stands, and the alarm is told once, for this cause.
  void expect_alarm(const std::string& cause) {
    const auto alarm = relay_->wait_for_log({{"event", "sts_downgrade"}, {"cause", cause}});
    ASSERT_TRUE(alarm) << relay_->transcript();
    EXPECT_EQ((*alarm)["domain"], kDomain);
    EXPECT_EQ((*alarm)["mode"], "enforce");
    EXPECT_EQ(metric("sts_downgrade_total"), "1");
  }
};

TEST_F(PolicyLife, OneFetchServesManyMessagesAndTheRecordIsLookedAtOnceAMinute) {
  add_enforce(world_);
  start();
  SmtpClient client(relay_->trusted());
  client.command("EHLO client.test");
  for (int i = 0; i < 20; ++i) {
    const auto to = "user" + std::to_string(i) + "@d.test";
    ASSERT_EQ(client.submit("shop@sender.test", {to}, canary_message()).code, 250);
  }
  for (int i = 0; i < 20; ++i)
    EXPECT_TRUE(world_.journal().wait_for_mail_to("user" + std::to_string(i) + "@d.test")) << i;
  EXPECT_EQ(world_.https().request_count("mta-sts.d.test"), 1u);
  EXPECT_EQ(world_.dns().queries("_mta-sts.d.test", "TXT"), 1u);
}

TEST_F(PolicyLife, AFailedFetchIsNotRepeatedForTheSameId) {
  add_enforce(world_);
  HttpReply missing;
  missing.status = 404;
  world_.https().serve("mta-sts.d.test", missing);
  start();
  for (const char* user : {"one", "two", "three"}) deliver(user);
  EXPECT_EQ(world_.https().request_count("mta-sts.d.test"), 1u);
}

TEST_F(PolicyLife, ANewIdWhoseFetchFailsRaisesTheAlarmAndChangesNothing) {
  add_enforce(world_);
  start();
  deliver("one");
  HttpReply missing;
  missing.status = 404;
  world_.https().serve("mta-sts.d.test", missing);
  world_.dns().replace("_mta-sts.d.test", "TXT", "v=STSv1; id=2;");
  refresh_until_the_alarm();
  expect_alarm("fetch-failed");
  const auto shown = relay_->run_json({"sts", "show", kDomain});
  ASSERT_EQ(shown.size(), 1u);
  EXPECT_EQ(shown[0]["mode"], "enforce");
  EXPECT_EQ(shown[0]["id"], "1");
}

TEST_F(PolicyLife, ARecordThatVanishedRaisesTheAlarmAndChangesNothing) {
  add_enforce(world_);
  start();
  deliver("one");
  world_.dns().remove("_mta-sts.d.test", "TXT");
  refresh_until_the_alarm();
  expect_alarm("record-vanished");
  EXPECT_EQ(relay_->run_json({"sts", "show", kDomain}).at(0)["mode"], "enforce");
}

TEST_F(PolicyLife, AWeakerPolicyIsTheDomainsRightAndRaisesTheAlarm) {
  add_enforce(world_);
  start();
  deliver("one");
  world_.publish_policy(kDomain, "testing", {kTheMx}, "2");
  ASSERT_EQ(relay_->run({"sts", "refresh", kDomain}).code, 0) << relay_->transcript();
  expect_alarm("weaker-policy");
  EXPECT_EQ(relay_->run_json({"sts", "show", kDomain}).at(0)["mode"], "testing");
}

TEST_F(PolicyLife, APolicyHostThatIsNotGlobalIsNotConnectedTo) {
  add_enforce(world_, untrusted(world_));
  // The MX hosts may be reached, and nothing else on this machine.
  start({{"egress.allow", "[\"" + world_.mx(kTheMx).endpoint().ip + "\"]"}});
  deliver("one");
  EXPECT_EQ(world_.https().request_count("mta-sts.d.test"), 0u);
  EXPECT_EQ(world_.https().failed_handshakes(), 0u);
  const std::vector<Counted> expected = {{"sts", 0, 1, {"sts-policy-fetch-error"}}};
  EXPECT_EQ(wait_for_counts(kDomain, expected), expected);
}

TEST_F(PolicyLife, AnMxThatIsNotGlobalIsNotConnectedTo) {
  auto& mx = world_.add_simple_domain(kDomain);
  start({{"egress.allow", "[]"}, {"delivery.retry", "[\"1h\"]"}});
  submit({"bob@d.test"});
  ASSERT_TRUE(wait_for_end("bob@d.test", "deferred"));
  EXPECT_TRUE(world_.journal().sessions(mx.name()).empty());
}

TEST_F(PolicyLife, AGreetingThatRefusesMeansTheNextMx) {
  world_.add_mx("mx1.d.test").on(Stage::connect, Reaction::reply("554 5.7.1 go away"));
  world_.add_mx("mx2.d.test");
  world_.add_domain(kDomain, {"mx1.d.test", "mx2.d.test"});
  world_.publish_policy(kDomain, "enforce", {"*.d.test"});
  start();
  deliver("one");
  EXPECT_EQ(world_.journal().mails().at(0).mx, "mx2.d.test");
}

// Invariant 17: what an earlier connection was good for says nothing about a message that needs more.
TEST_F(PolicyLife, AnOpenConnectionOfATestingPolicyServesNoEnforceMessage) {
  world_.add_simple_domain(kDomain, untrusted(world_));
  world_.publish_policy(kDomain, "testing", {kTheMx});
  start({{"delivery.idle_connection", "\"5m\""}, {"delivery.retry", "[\"1h\"]"}});
  deliver("one");
  ASSERT_FALSE(world_.journal().sessions(kTheMx).at(0).over) << "nothing to reuse";
  world_.publish_policy(kDomain, "enforce", {kTheMx}, "2");
  ASSERT_TRUE(eventually([&] {
    const auto lines = relay_->run_json({"sts", "refresh", kDomain});
    return !lines.empty() && lines[0]["mode"] == "enforce";
  })) << relay_->transcript();
  submit({"two@d.test"});
  const auto line = wait_for_end("two@d.test", "deferred");
  ASSERT_TRUE(line);
  EXPECT_EQ((*line)["enhanced"], "4.7.5") << line->text();
  EXPECT_EQ(world_.journal().mails().size(), 1u);
}

TEST_F(PolicyLife, DomainsBehindTheSameMxAreHeldEachToItsOwnPolicy) {
  add_enforce(world_, untrusted(world_));
  world_.add_domain("plain.test", {kTheMx});
  start({{"delivery.idle_connection", "\"5m\""}, {"delivery.retry", "[\"1h\"]"}});
  submit({"bob@plain.test"});
  ASSERT_TRUE(world_.journal().wait_for_mail_to("bob@plain.test")) << relay_->transcript();
  submit({"bob@d.test", "carol@plain.test"});
  const auto line = wait_for_end("bob@d.test", "deferred");
  ASSERT_TRUE(line);
  EXPECT_EQ((*line)["enhanced"], "4.7.5") << line->text();
  EXPECT_TRUE(world_.journal().wait_for_mail_to("carol@plain.test")) << relay_->transcript();
  EXPECT_FALSE(world_.journal().wait_for_mail_to("bob@d.test", Milliseconds(0)));
}

// The extensions of the ClientHello that followed STARTTLS (RFC 8446 section 4.1.2).
std::vector<int> extensions_of(const std::string& wire) {
  const auto starttls = wire.find("STARTTLS\r\n");
  if (starttls == std::string::npos) return {};
  const std::string hello = wire.substr(starttls + 10);
  const auto number = [&](std::size_t at, int octets) {
    std::size_t value = 0;
    for (int i = 0; i < octets; ++i)
      value = value << 8 | static_cast<unsigned char>(hello.at(at + static_cast<std::size_t>(i)));
    return value;
  };
  std::size_t at = 5 + 4 + 2 + 32;  // record and handshake headers, version, random
  at += 1 + number(at, 1);          // session id
  at += 2 + number(at, 2);          // cipher suites
  at += 1 + number(at, 1);          // compression methods
  const std::size_t end = at + 2 + number(at, 2);
  std::vector<int> found;
  for (at += 2; at < end; at += 4 + number(at + 2, 2)) found.push_back(static_cast<int>(number(at, 2)));
  return found;
}

TEST_F(PolicyLife, NoTlsSessionIsEverOfferedForResumption) {
  add_enforce(world_);
  start({{"delivery.messages_per_connection", "1"}});
  for (const char* user : {"one", "two", "three"}) deliver(user);
  const auto sessions = world_.journal().sessions(kTheMx);
  ASSERT_EQ(sessions.size(), 3u);
  for (const auto& session : sessions) {
    const auto extensions = extensions_of(session.wire->received());
    EXPECT_FALSE(extensions.empty());
    for (const int extension : extensions) {
      EXPECT_NE(extension, 35) << "session_ticket";
      EXPECT_NE(extension, 41) << "pre_shared_key";
    }
  }
}

// Invariant 37: what a domain publishes cannot make the relay ask and connect without end.
TEST_F(PolicyLife, ManyMxHostsCostABoundedNumberOfQuestionsAndConnections) {
  auto& mx = world_.add_mx("mx.d.test");
  mx.on(Stage::connect, Reaction::reply("421 4.3.2 not now"));
  for (int i = 0; i < 60; ++i) {
    const auto name = "mx" + std::to_string(i) + ".d.test";
    world_.dns().add(name, "A", mx.endpoint().ip);
    world_.dns().add(kDomain, "MX", std::to_string(i) + " " + name);
  }
  start({{"delivery.retry", "[\"1h\"]"}});
  const auto before = world_.dns().queries();
  submit({"bob@d.test"});
  ASSERT_TRUE(wait_for_end("bob@d.test", "deferred"));
  EXPECT_LE(world_.journal().sessions(kTheMx).size(), 20u);
  EXPECT_LE(world_.dns().queries() - before, 150u) << "of 60 hosts with two address families each";
}

class PolicyInTime : public PolicyLife {
 protected:
  void SetUp() override {
    if (const auto why = MovedClock::missing(); !why.empty()) GTEST_SKIP() << why;
    clock_ = std::make_unique<MovedClock>(world_.folder());
  }
  void restart_at(std::chrono::seconds time) {
    ASSERT_EQ(relay_->terminate(), 0) << relay_->transcript();
    clock_->move_by(time);
    ASSERT_TRUE(relay_->start()) << relay_->transcript();
  }
  std::unique_ptr<MovedClock> clock_;
};

TEST_F(PolicyInTime, AnUnknownPolicyHoldsAMessageUpForHalfAnHourAndIsToldOf) {
  add_enforce(world_, untrusted(world_));
  world_.dns().set_fault("_mta-sts.d.test", "TXT", DnsFault::servfail);
  start({{"delivery.retry", "[\"20m\"]"}}, {}, clock_->wrapper());
  submit({"bob@d.test"});
  const auto line = wait_for_end("bob@d.test", "deferred");
  ASSERT_TRUE(line);
  EXPECT_EQ((*line)["enhanced"], "4.4.3") << line->text();
  EXPECT_TRUE(world_.journal().sessions(kTheMx).empty());
  restart_at(std::chrono::minutes(31));
  EXPECT_TRUE(world_.journal().wait_for_mail_to("bob@d.test")) << relay_->transcript();
  // The log is written some milliseconds after what it tells of.
  EXPECT_TRUE(eventually([&] {
    return relay_->transcript().find("whether there is an MTA-STS policy stayed unknown") !=
           std::string::npos;
  })) << relay_->transcript();
}

TEST_F(PolicyInTime, ACachedPolicyEndsByItsExpiryAndNotBefore) {
  add_enforce(world_);
  start({{"delivery.retry", "[\"20m\"]"}}, {}, clock_->wrapper());
  deliver("one");
  // The record is gone, the host is down, and the MX shows a certificate that nobody trusts.
  world_.dns().remove("_mta-sts.d.test", "TXT");
  HttpReply dead;
  dead.fault = HttpFault::drop;
  world_.https().serve("mta-sts.d.test", dead);
  world_.mx(kTheMx).set(untrusted(world_));
  restart_at(std::chrono::hours(23));
  submit({"two@d.test"});
  const auto held = wait_for_end("two@d.test", "deferred");
  ASSERT_TRUE(held);
  EXPECT_EQ((*held)["enhanced"], "4.7.5") << held->text();
  restart_at(std::chrono::hours(25));
  EXPECT_TRUE(world_.journal().wait_for_mail_to("two@d.test")) << relay_->transcript();
}

TEST_F(PolicyInTime, AMessageFailsForPolicyOnlyAfterAFreshLookAndSaysWhy) {
  add_enforce(world_, untrusted(world_));
  start({{"delivery.retry", "[\"10m\"]"},
         {"delivery.expire", "\"15m\""},
         {"delivery.delay_notice_after", "\"10m\""}},
        {}, clock_->wrapper());
  submit({"bob@d.test"});
  ASSERT_TRUE(wait_for_end("bob@d.test", "deferred"));
  const auto fetched = world_.https().request_count("mta-sts.d.test");
  restart_at(std::chrono::minutes(16));
  std::optional<Mail> bounce;
  EXPECT_TRUE(eventually([&] {
    for (const Mail& mail : world_.journal().mails())
      if (mail.content.find("Action: failed") != std::string::npos) bounce = mail;
    return bounce.has_value();
  })) << relay_->transcript();
  ASSERT_TRUE(bounce);
  EXPECT_GT(world_.https().request_count("mta-sts.d.test"), fetched) << "no fresh look at the policy";
  for (const char* part :
       {"Status: 4.4.7", "X-Holdfast-TLS-Policy: sts enforce certificate-not-trusted", "mx.d.test"})
    EXPECT_NE(bounce->content.find(part), std::string::npos) << part << " is missing in\n" << bounce->content;
}

TEST_F(PolicyInTime, AFreshLookMaySaveTheMessageAtItsEnd) {
  add_enforce(world_, untrusted(world_));
  start({{"delivery.retry", "[\"10m\"]"}, {"delivery.expire", "\"15m\""}}, {}, clock_->wrapper());
  submit({"bob@d.test"});
  ASSERT_TRUE(wait_for_end("bob@d.test", "deferred"));
  world_.publish_policy(kDomain, "none", {}, "2");
  restart_at(std::chrono::minutes(16));
  EXPECT_TRUE(world_.journal().wait_for_mail_to("bob@d.test")) << relay_->transcript();
}

}  // namespace
}  // namespace holdfast::world
