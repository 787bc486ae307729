// A day passes: what was counted is reported, once, by mail and by HTTPS, whatever happens in between.
#include "tests/end_to_end/tlsrpt.h"

#include "tests/end_to_end/postfix.h"

namespace holdfast::world {
namespace {

TEST_F(TlsReports, ArriveOnceByMailAndByHttpsWhenTheDayIsOver) {
  world_.add_simple_domain("one.test");
  world_.publish_policy("one.test", "enforce", {"mx.one.test"});
  world_.add_simple_domain("collector.test");
  world_.publish_tlsrpt("one.test", "mailto:reports@collector.test,https://reports.one.test/v1");
  serve_reports("reports.one.test");
  MxSettings broken;
  broken.tls.identity = world_.other_authority().issue("mx.broken.test");
  world_.add_simple_domain("broken.test", broken);
  world_.publish_policy("broken.test", "enforce", {"mx.broken.test"});
  world_.publish_tlsrpt("broken.test", "mailto:tls@broken.test");
  world_.add_simple_domain("silent.test");  // asks for nothing
  start_reporting();
  publish_key();
  for (int i = 0; i < 3; ++i) {
    const auto to = "bob" + std::to_string(i) + "@one.test";
    submit({to});
    ASSERT_TRUE(world_.journal().wait_for_mail_to(to)) << relay_->transcript();
  }
  submit({"eve@broken.test"});
  ASSERT_TRUE(wait_for_end("eve@broken.test", "deferred"));
  submit({"bob@silent.test"});
  ASSERT_TRUE(world_.journal().wait_for_mail_to("bob@silent.test"));
  const std::size_t sessions = world_.journal().sessions("mx.one.test").size();
  EXPECT_TRUE(mails_to("reports@collector.test").empty());

  pass_midnight();
  EXPECT_TRUE(eventually([&] {
    hurry();
    return !mails_to("reports@collector.test").empty();
  }));
  const auto by_mail = world_.journal().wait_for_mail_to("reports@collector.test", Milliseconds(60000));
  ASSERT_TRUE(by_mail) << relay_->transcript();
  const auto report = checked_mail(*by_mail);
  EXPECT_EQ(report["organization-name"], "Sender Ltd");
  EXPECT_EQ(report["contact-info"], "tls@sender.test");
  EXPECT_EQ(report["date-range.start-datetime"], today() + "T00:00:00Z");
  EXPECT_EQ(report["policies.0.policy.policy-type"], "sts");
  EXPECT_EQ(report["policies.0.policy.policy-domain"], "one.test");
  EXPECT_EQ(count(report, "successful"), std::to_string(sessions));
  EXPECT_EQ(by_mail->reverse_path, "tls@sender.test");

  ASSERT_TRUE(eventually([&] { return world_.https().request_count("reports.one.test") > 0; }));
  const auto post = world_.https().requests("reports.one.test").front();
  EXPECT_EQ(post.method, "POST");
  EXPECT_EQ(post.path, "/v1");
  EXPECT_EQ(checked_post(post).text(), report.text());

  // The domain whose TLS is broken hears of it, although its own policy forbids all other mail.
  const auto to_broken = world_.journal().wait_for_mail_to("tls@broken.test", Milliseconds(60000));
  ASSERT_TRUE(to_broken) << relay_->transcript();
  const auto complaint = checked_mail(*to_broken);
  EXPECT_EQ(count(complaint, "failure"), "1");
  EXPECT_EQ(complaint["policies.0.failure-details.0.result-type"], "certificate-not-trusted");
  EXPECT_TRUE(mails_to("eve@broken.test").empty());
  // And the sessions that carried the reports are in none.
  EXPECT_EQ(counts("broken.test"), std::vector<Counted>());
  EXPECT_EQ(counts("collector.test"), std::vector<Counted>());

  EXPECT_TRUE(
      relay_->wait_for_log({{"event", "tlsrpt_sent"}, {"domain", "broken.test"}, {"method", "mailto"}}));
  EXPECT_TRUE(relay_->wait_for_log({{"event", "tlsrpt_sent"}, {"domain", "one.test"}, {"method", "https"}}));
  relay_->kill();
  ASSERT_TRUE(relay_->start()) << relay_->transcript();
  expect_all_sent();
  EXPECT_EQ(mails_to("reports@collector.test").size(), 1u);
  EXPECT_EQ(mails_to("tls@broken.test").size(), 1u);
  EXPECT_EQ(world_.https().request_count("reports.one.test"), 1u);
}

TEST_F(TlsReports, SurviveBeingKilledBetweenTheirSteps) {
  world_.add_simple_domain("one.test");
  world_.add_simple_domain("collector.test");
  world_.publish_tlsrpt("one.test", "mailto:reports@collector.test,https://reports.one.test/v1");
  serve_reports("reports.one.test", 500);
  start_reporting();
  submit({"bob@one.test"});
  ASSERT_TRUE(world_.journal().wait_for_mail_to("bob@one.test"));
  const std::vector<Counted> expected = {{"no-policy-found", 1, 0, {}}};
  ASSERT_EQ(wait_for_counts("one.test", expected), expected);  // asking writes what was counted
  relay_->kill();

  // Down over midnight; then the receiver's web server is ill, and our key is not in DNS.
  pass_midnight();
  ASSERT_TRUE(relay_->start()) << relay_->transcript();
  ASSERT_TRUE(relay_->wait_for_log({{"text", "a TLS report could not be sent yet"}, {"method", "mailto"}}))
      << relay_->transcript();
  ASSERT_TRUE(relay_->wait_for_log({{"text", "a TLS report could not be sent yet"}, {"method", "https"}}))
      << relay_->transcript();
  EXPECT_TRUE(
      relay_->wait_for_log({{"text", "TLS reports by mail wait until their signing key is found in DNS"}}));
  relay_->kill();

  ASSERT_TRUE(relay_->start()) << relay_->transcript();
  publish_key();
  const auto post_count = world_.https().request_count("reports.one.test");
  serve_reports("reports.one.test", 200);
  EXPECT_TRUE(eventually([&] {
    hurry();
    return !mails_to("reports@collector.test").empty();
  })) << relay_->transcript();
  const auto mail = world_.journal().wait_for_mail_to("reports@collector.test");
  ASSERT_TRUE(mail);
  ASSERT_TRUE(relay_->wait_for_log({{"event", "tlsrpt_sent"}, {"method", "https"}})) << relay_->transcript();
  const auto report = checked_mail(*mail);
  EXPECT_EQ(count(report, "successful"), "1");
  EXPECT_EQ(world_.https().request_count("reports.one.test"), post_count + 1);
  EXPECT_EQ(checked_post(world_.https().requests("reports.one.test").back()).text(), report.text());
  relay_->kill();
  ASSERT_TRUE(relay_->start()) << relay_->transcript();
  expect_all_sent();
  EXPECT_EQ(mails_to("reports@collector.test").size(), 1u);
  EXPECT_EQ(world_.https().request_count("reports.one.test"), post_count + 1);
}

// Domains of several kinds have their reports sent to one mailbox of a mail server that we did not write.
TEST_F(TlsReports, ArriveOnceInAMailboxOfARealPostfix) {
  if (const auto why = Postfix::missing(); !why.empty()) GTEST_SKIP() << why;
  const auto at = world_.reserve_mx_address();
  world_.dns().add("mx.postfix.test", "A", at.ip);
  world_.add_domain("postfix.test", {"mx.postfix.test"});
  world_.publish_policy("postfix.test", "enforce", {"mx.postfix.test"});
  const Postfix postfix(at, world_.authority().issue("mx.postfix.test"));
  ASSERT_EQ(postfix.started().code, 0) << postfix.started().err << postfix.log();
  MxSettings expired;
  CertificateSpec old;
  old.dns_names = {"mx.expired.test"};
  old.valid_from = std::chrono::hours(-48);
  old.valid_until = std::chrono::hours(-24);
  expired.tls.identity = world_.authority().issue(old);
  world_.add_simple_domain("enforce.test");
  world_.publish_policy("enforce.test", "enforce", {"mx.enforce.test"});
  world_.add_simple_domain("nopolicy.test");
  world_.add_simple_domain("expired.test", expired);
  world_.publish_policy("expired.test", "testing", {"mx.expired.test"});
  const std::set<std::string> domains = {"enforce.test", "nopolicy.test", "expired.test"};
  for (const auto& domain : domains) world_.publish_tlsrpt(domain, "mailto:tls-reports@postfix.test");
  start_reporting({{"delivery.messages_per_connection", "1"}});
  publish_key();
  for (const auto& domain : domains) {
    for (const char* user : {"ann@", "bob@"}) {
      submit({user + domain});
      ASSERT_TRUE(world_.journal().wait_for_mail_to(user + domain)) << relay_->transcript();
    }
  }

  pass_midnight();
  const auto all_came = [&] {
    hurry();
    return postfix.mails().size() >= domains.size();
  };
  ASSERT_TRUE(eventually(all_came, Milliseconds(60000))) << relay_->transcript() << postfix.log();
  for (std::size_t i = 0; i < domains.size(); ++i) {
    EXPECT_TRUE(relay_->wait_for_log({{"event", "delivered"}, {"mx", "mx.postfix.test"}}));
  }
  relay_->kill();
  ASSERT_TRUE(relay_->start()) << relay_->transcript();
  expect_all_sent();

  std::set<std::string> reported;
  for (const auto& mail : postfix.mails()) {
    EXPECT_NE(mail.find("(using TLSv1.3 with cipher"), std::string::npos) << mail;
    const auto report = checked_mail(mail);
    const auto domain = report["policies.0.policy.policy-domain"];
    EXPECT_TRUE(reported.insert(domain).second) << domain << " was reported twice";
    EXPECT_EQ(report["date-range.start-datetime"], today() + "T00:00:00Z");
    const auto sessions = std::to_string(world_.journal().sessions("mx." + domain).size());
    const bool good = domain != "expired.test";
    EXPECT_EQ(count(report, "successful"), good ? sessions : "0") << domain;
    EXPECT_EQ(count(report, "failure"), good ? "0" : sessions) << domain;
  }
  EXPECT_EQ(reported, domains);
  EXPECT_EQ(counts("postfix.test"), std::vector<Counted>());  // the reports' own sessions are in none
}

TEST_F(TlsReports, TellInStatusWhyTheyDidNotArrive) {
  const std::set<std::string> domains = {"bounced.test",  "unreachable.test", "ill.test",
                                         "unusable.test", "forged.test",      "inside.test"};
  for (const auto& domain : domains) world_.add_simple_domain(domain);
  world_.add_simple_domain("full.test");
  world_.mx("mx.full.test").on(Stage::rcpt, Reaction::reply("550 5.2.2 mailbox full"));
  world_.publish_tlsrpt("bounced.test", "mailto:tls@full.test");
  world_.publish_tlsrpt("unreachable.test", "https://nobody.test/v1");
  world_.dns().replace("nobody.test", "A", world_.reserve_mx_address().ip);  // no web server listens there
  world_.publish_tlsrpt("ill.test", "https://ill.reports.test/v1");
  serve_reports("ill.reports.test", 404);
  world_.publish_tlsrpt("unusable.test", "gopher://unusable.test");
  world_.publish_tlsrpt("forged.test", "https://forged.reports.test/v1");
  serve_reports("forged.reports.test");
  world_.https().set_identity("forged.reports.test", world_.other_authority().issue("forged.reports.test"));
  world_.publish_tlsrpt("inside.test", "https://inside.reports.test/v1");
  world_.dns().replace("inside.reports.test", "A", "10.1.2.3");  // egress.allow names loopback alone
  start_reporting();
  publish_key();
  for (const auto& domain : domains) {
    submit({"b@" + domain});
    ASSERT_TRUE(world_.journal().wait_for_mail_to("b@" + domain)) << relay_->transcript();
  }

  pass_midnight();
  const auto line_of = [&](const std::string& kind, const std::string& field, const std::string& value) {
    for (const auto& line : relay_->run_json({"tlsrpt", "status"})) {
      if (line["kind"] == kind && line[field] == value) return line;
    }
    return JsonLine();
  };
  const auto says = [&](const std::string& domain, const std::string& state, const std::string& reason) {
    const auto line = line_of("report", "domain", domain);
    return line["targets.0.state"] == state && line["targets.0.reason"].find(reason) != std::string::npos;
  };
  const auto shown = [&] { return relay_->run({"tlsrpt", "status"}).out; };
  const auto has_bounced = [&] {
    hurry();
    return says("bounced.test", "bounced", "550 5.2.2 mailbox full");
  };
  EXPECT_TRUE(eventually(has_bounced)) << shown();
  EXPECT_TRUE(eventually([&] { return says("ill.test", "waiting", "HTTP status 404"); })) << shown();
  EXPECT_TRUE(eventually([&] { return says("unreachable.test", "waiting", "connect"); })) << shown();
  EXPECT_TRUE(eventually([&] { return says("forged.test", "waiting", "certificate"); })) << shown();
  EXPECT_EQ(world_.https().request_count("forged.reports.test"), 0u);
  EXPECT_TRUE(eventually([&] { return says("inside.test", "given-up", "10.1.2.3"); })) << shown();
  EXPECT_EQ(line_of("report", "domain", "unusable.test")["reason"], "the record names no usable target");
  EXPECT_NE(line_of("suppressed", "address", "tls@full.test")["until"], "");
  const auto table = shown();
  for (const char* words : {"550 5.2.2 mailbox full", "HTTP status 404", "https://nobody.test/v1",
                            "the record names no usable target"}) {
    EXPECT_NE(table.find(words), std::string::npos) << words << " is not in\n" << table;
  }
}

// A mailbox that asks to wait is asked again; one that never takes the report gives it back and is spared for
// a week. Both can be seen in the plain status.
TEST_F(TlsReports, WaitForAMailboxThatAnswers4xxAndGiveUpInTheEnd) {
  for (const char* domain : {"early.test", "late.test", "slow.test", "never.test"})
    world_.add_simple_domain(domain);
  for (const char* mx : {"mx.slow.test", "mx.never.test"})
    world_.mx(mx).on(Stage::rcpt, Reaction::reply("450 4.2.0 mailbox busy"));
  world_.publish_tlsrpt("early.test", "mailto:tls@slow.test");
  world_.publish_tlsrpt("late.test", "mailto:tls@never.test");
  start_reporting({{"delivery.retry", "[\"1s\"]"}});
  publish_key();
  for (const char* to : {"b@early.test", "b@late.test"}) {
    submit({to});
    ASSERT_TRUE(world_.journal().wait_for_mail_to(to)) << relay_->transcript();
  }

  pass_midnight();
  const auto target_of = [&](const std::string& domain, const std::string& field) {
    for (const auto& line : relay_->run_json({"tlsrpt", "status"})) {
      if (line["domain"] == domain && line["day"] == today()) return line["targets.0." + field];
    }
    return std::string();
  };
  const auto shown = [&] { return relay_->run({"tlsrpt", "status"}).out; };
  for (const char* domain : {"early.test", "late.test"}) {
    const auto waits = [&] {
      hurry();
      return target_of(domain, "state") == "queued" &&
             target_of(domain, "reason").find("450 4.2.0 mailbox busy") != std::string::npos;
    };
    ASSERT_TRUE(eventually(waits, Milliseconds(30000))) << domain << "\n" << shown();
  }
  EXPECT_NE(shown().find("450 4.2.0 mailbox busy"), std::string::npos) << shown();
  world_.mx("mx.slow.test").clear_rules();
  ASSERT_TRUE(world_.journal().wait_for_mail_to("tls@slow.test", Milliseconds(30000)))
      << relay_->transcript();
  EXPECT_TRUE(eventually([&] { return target_of("early.test", "state") == "sent"; })) << shown();

  // The day on which retry_for is over: a last try, and then no more.
  relay_->kill();
  live_at_noon_after(3);
  ASSERT_TRUE(relay_->start()) << relay_->transcript();
  EXPECT_TRUE(eventually([&] { return target_of("late.test", "state") == "bounced"; }, Milliseconds(30000)))
      << shown();
  EXPECT_NE(target_of("late.test", "reason").find("450 4.2.0 mailbox busy"), std::string::npos) << shown();
  EXPECT_NE(shown().find("suppressed"), std::string::npos) << shown();
  EXPECT_TRUE(queue_is_empty());
  EXPECT_EQ(mails_to("tls@slow.test").size(), 1u);
  EXPECT_TRUE(mails_to("tls@never.test").empty());
}

}  // namespace
}  // namespace holdfast::world
