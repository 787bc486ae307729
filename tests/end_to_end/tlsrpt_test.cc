// A day passes: what was counted is reported, once, by mail and by HTTPS, whatever happens in between.
#include <stdlib.h>

#include <fstream>
#include <iostream>
#include <set>

#include "tests/end_to_end/end_to_end.h"
#include "tests/end_to_end/moved_clock.h"
#include "tests/end_to_end/postfix.h"

namespace holdfast::world {
namespace {

using std::chrono::system_clock;

class TlsReports : public EndToEnd {
 protected:
  void SetUp() override {
    if (const auto why = MovedClock::missing(); !why.empty()) GTEST_SKIP() << why;
  }

  void start_reporting(std::map<std::string, std::string> settings = {}) {
    settings.insert({"tlsrpt.contact", "\"tls@sender.test\""});
    settings.insert({"tlsrpt.organization", "\"Sender Ltd\""});
    settings.insert({"tlsrpt.jitter", "\"0s\""});
    settings.insert({"tlsrpt.https_port", std::to_string(world_.https_port())});
    settings.insert({"delivery.retry", "[\"1h\"]"});
    live_at_noon_after(0);
    start(std::move(settings), {}, clock_.wrapper());
  }

  // It becomes noon of the test's day, or of a later one: both ends of a day are far then.
  void live_at_noon_after(int days) const {
    const auto noon =
        std::chrono::floor<std::chrono::days>(day_) + std::chrono::days(days) + std::chrono::hours(12);
    clock_.move_by(std::chrono::floor<std::chrono::seconds>(noon - day_));
  }
  void pass_midnight() const { live_at_noon_after(1); }

  std::string today() const {
    const auto now = system_clock::to_time_t(day_);
    char text[16];
    std::tm utc{};
    ::gmtime_r(&now, &utc);
    std::strftime(text, sizeof text, "%Y-%m-%d", &utc);
    return text;
  }

  // What the operator is told to publish; published.
  void publish_key() {
    for (const auto& line : relay_->run_json({"tlsrpt", "status"})) {
      if (line["kind"] != "key") continue;
      key_name_ = line["name"];
      key_record_ = line["txt"];
    }
    ASSERT_EQ(key_name_, "holdfast._domainkey.sender.test");
    std::vector<std::string> strings;
    for (std::size_t at = 0; at < key_record_.size(); at += 200)
      strings.push_back(key_record_.substr(at, 200));
    world_.dns().add_txt(key_name_, strings);
  }

  void serve_reports(const std::string& host, int status = 201) {
    HttpReply reply;
    reply.status = status;
    world_.https().serve(host, reply);
    world_.dns().replace(host, "A", world_.https().endpoint().ip);
  }

  // The report as Python sees it, once it has found nothing wrong with it.
  JsonLine checked(const std::vector<std::string>& how) const {
    auto command = clock_.wrapper();  // a signature of tomorrow is none
    command.insert(command.end(), {"/usr/bin/python3", HOLDFAST_SOURCE_DIR "/tests/tlsrpt/check_report.py"});
    command.insert(command.end(), how.begin(), how.end());
    const auto end = run_process(command);
    EXPECT_EQ(end.code, 0) << end.err;
    return JsonLine::parse(end.out).value_or(JsonLine());
  }
  JsonLine checked_mail(const Mail& mail) { return checked_mail(mail.content); }
  JsonLine checked_mail(const std::string& content) {
    const auto file = world_.folder() / "report.eml";
    std::ofstream(file, std::ios::binary) << content;
    return checked({"mail", file.string(), key_name_, key_record_});
  }
  JsonLine checked_post(const HttpRequest& request) {
    const auto file = world_.folder() / "report.json.gz";
    std::ofstream(file, std::ios::binary) << request.body;
    return checked({"json", file.string()});
  }

  std::vector<Mail> mails_to(const std::string& address) {
    std::vector<Mail> found;
    for (const auto& mail : world_.journal().mails()) {
      if (mail.is_to(address)) found.push_back(mail);
    }
    return found;
  }

  // For a condition that is asked again and again: the resolver may still remember that there was no key, and
  // the operator does not wait for the next try.
  void hurry() { relay_->run({"tlsrpt", "send", "--day", today()}); }

  // Nothing of the day waits any more, and asking for it again sends nothing.
  void expect_all_sent() {
    EXPECT_EQ(relay_->run({"tlsrpt", "send", "--day", today()}).code, 1);
    for (const auto& line : relay_->run_json({"tlsrpt", "status"})) {
      EXPECT_TRUE(line["kind"] != "report" || line["state"] == "done") << line.text();
    }
  }

  static std::string count(const JsonLine& report, const std::string& what) {
    return report["policies.0.summary.total-" + what + "-session-count"];
  }

  const system_clock::time_point day_ = system_clock::now();
  const MovedClock clock_{world_.folder()};
  std::string key_name_, key_record_;
};

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

// Twelve domains of every kind; the world counts the sessions that it sees, and the reports, once by mail and
// once by HTTPS, must say the same. The mailbox is one of a real Postfix where there is one.
class TlsReportsOfADay : public TlsReports {
 protected:
  using Steady = std::chrono::steady_clock;
  using Counts = std::map<std::string, std::size_t>;

  MxSettings with(Identity identity) {
    MxSettings settings;
    settings.tls.identity = std::move(identity);
    return settings;
  }

  void add(const std::string& domain, const std::string& policy = {}, MxSettings settings = {}) {
    world_.add_simple_domain(domain, std::move(settings));
    if (!policy.empty()) world_.publish_policy(domain, policy, {"mx." + domain});
    world_.publish_tlsrpt(domain, "mailto:reports@postfix.test,https://reports.test/" + domain);
    domains_.push_back(domain);
  }

  void add_domains() {
    const auto& authority = world_.authority();
    CertificateSpec nobodys, expired;
    nobodys.common_name = "nobody";
    expired.dns_names = {"mx.expired.test"};
    expired.valid_from = std::chrono::hours(-48);
    expired.valid_until = std::chrono::hours(-24);
    MxSettings clear;
    clear.starttls = false;
    MxSettings old;
    old.drop_extension("PIPELINING");
    old.drop_extension("CHUNKING");
    add("nopolicy.test", {}, with(self_signed(nobodys)));
    add("clear.test", {}, clear);
    add("enforce.test", "enforce");
    add("testing.test", "testing", with(authority.issue("elsewhere.test")));
    add("none.test", "none", with(self_signed(nobodys)));
    add("expired.test", "enforce", with(authority.issue(expired)));
    add("untrusted.test", "enforce", with(world_.other_authority().issue("mx.untrusted.test")));
    add("wrongname.test", "enforce", with(authority.issue("elsewhere.test")));
    add("plain.test", "testing");
    add("old.test", {}, old);
    add("busy.test", "enforce");
    world_.mx("mx.busy.test").on(Stage::rcpt, Reaction::reply("450 4.2.0 busy"));
    add("refusing.test", "enforce");
    world_.mx("mx.refusing.test").on(Stage::rcpt, Reaction::reply("550 5.1.1 nobody"));
    serve_reports("reports.test");
  }
  bool takes_mail(const std::string& domain) const {
    return domain != "expired.test" && domain != "untrusted.test" && domain != "wrongname.test" &&
           domain != "busy.test" && domain != "refusing.test";
  }

  void add_mailbox() {
    if (!Postfix::missing().empty()) {
      world_.add_simple_domain("postfix.test");
      return;
    }
    const auto at = world_.reserve_mx_address();
    world_.dns().add("mx.postfix.test", "A", at.ip);
    world_.add_domain("postfix.test", {"mx.postfix.test"});
    postfix_ = std::make_unique<Postfix>(at, world_.authority().issue("mx.postfix.test"));
    ASSERT_EQ(postfix_->started().code, 0) << postfix_->started().err << postfix_->log();
  }
  std::vector<std::string> mailbox() {
    if (postfix_) return postfix_->mails();
    std::vector<std::string> found;
    for (const auto& mail : mails_to("reports@postfix.test")) found.push_back(mail.content);
    return found;
  }
  std::map<std::string, std::vector<HttpRequest>> posts() {
    std::map<std::string, std::vector<HttpRequest>> found;
    for (const auto& request : world_.https().requests("reports.test"))
      found[request.path.substr(1)].push_back(request);
    return found;
  }

  // One message to each domain.
  void submit_round(SmtpClient& client) {
    for (const auto& domain : domains_) {
      const auto to = "u" + std::to_string(rounds_) + "@" + domain;
      EXPECT_EQ(client.submit("shop@sender.test", {to}, canary_message()).code, 250);
    }
    ++rounds_;
  }
  void submit_rounds(int number) {
    SmtpClient client(relay_->trusted());
    client.command("EHLO client.test");
    for (int i = 0; i < number; ++i) submit_round(client);
  }

  Counts seen(bool over = false) {
    Counts counts;
    for (const auto& domain : domains_) {
      for (const auto& session : world_.journal().sessions("mx." + domain))
        counts[domain] += !over || session.over ? 1 : 0;
    }
    return counts;
  }
  static std::size_t sum(const Counts& counts) {
    std::size_t all = 0;
    for (const auto& [domain, sessions] : counts) all += sessions;
    return all;
  }
  static std::size_t sessions_in(const JsonLine& report) {
    std::size_t all = 0;
    for (int k = 0; !report["policies." + std::to_string(k) + ".policy.policy-type"].empty(); ++k) {
      const auto summary = "policies." + std::to_string(k) + ".summary.total-";
      all += std::stoul(report[summary + "successful-session-count"]);
      all += std::stoul(report[summary + "failure-session-count"]);
    }
    return all;
  }

  // All that can be delivered is, and no conversation goes on.
  void wait_for_quiet() {
    for (const auto& domain : domains_) {
      for (int i = 0; takes_mail(domain) && i < rounds_; ++i) {
        const auto to = "u" + std::to_string(i) + "@" + domain;
        ASSERT_TRUE(world_.journal().wait_for_mail_to(to, Milliseconds(60000))) << to;
      }
    }
    const auto quiet = [&] {
      const auto before = seen(true);
      (void)counts(domains_.front());  // asking writes what was counted
      return before == seen();
    };
    ASSERT_TRUE(eventually(quiet, Milliseconds(60000)));
  }

  std::vector<std::string> domains_;
  std::unique_ptr<Postfix> postfix_;
  int rounds_ = 0;
};

TEST_F(TlsReportsOfADay, TellsEveryDomainOnceByMailAndByHttpsWhatTheWorldSaw) {
  add_domains();
  add_mailbox();
  start_reporting({{"delivery.messages_per_connection", "1"}});
  publish_key();
  submit_rounds(20);
  EXPECT_EQ(relay_->terminate(), 0) << relay_->transcript();
  ASSERT_TRUE(relay_->start()) << relay_->transcript();

  // Killed among deliveries: what was over for a second is on disk, what came after may be lost.
  std::vector<std::pair<Steady::time_point, Counts>> history;
  {
    SmtpClient client(relay_->trusted());
    client.command("EHLO client.test");
    const auto begun = Steady::now();
    for (int i = 0; i < 30 || Steady::now() - begun < Milliseconds(1500); ++i) {
      history.emplace_back(Steady::now(), seen(true));
      submit_round(client);
    }
  }
  const auto killed = Steady::now();
  relay_->kill();
  const auto at_kill = seen();
  Counts durable;
  for (const auto& [at, counts] : history) {
    if (killed - at >= std::chrono::seconds(1)) durable = counts;
  }
  ASSERT_TRUE(relay_->start()) << relay_->transcript();
  submit_rounds(std::max(16, 66 - rounds_));
  wait_for_quiet();
  const auto world_saw = seen();
  EXPECT_GE(sum(world_saw), 500u);

  pass_midnight();
  const auto all_came = [&] {
    hurry();
    return mailbox().size() >= domains_.size() && posts().size() >= domains_.size();
  };
  ASSERT_TRUE(eventually(all_came, Milliseconds(60000))) << relay_->transcript().substr(0, 4000);
  for (std::size_t i = 0; i < domains_.size(); ++i)
    EXPECT_TRUE(relay_->wait_for_log({{"event", "delivered"}, {"to", "reports@postfix.test"}}));
  const auto nothing_is_queued = [&] {
    return relay_->run({"tlsrpt", "status"}).out.find("queued as") == std::string::npos;
  };
  EXPECT_TRUE(eventually(nothing_is_queued));
  relay_->kill();
  ASSERT_TRUE(relay_->start()) << relay_->transcript();
  expect_all_sent();

  std::map<std::string, JsonLine> mailed;
  for (const auto& mail : mailbox()) {
    const auto report = checked_mail(mail);
    const auto domain = report["policies.0.policy.policy-domain"];
    EXPECT_TRUE(mailed.emplace(domain, report).second) << domain << " got two mails";
    EXPECT_EQ(report["date-range.start-datetime"], today() + "T00:00:00Z");
    if (postfix_) {
      EXPECT_NE(mail.find("(using TLSv1.3 with cipher"), std::string::npos) << mail;
    }
  }
  const auto posted = posts();
  std::size_t reported = 0;
  for (const auto& domain : domains_) {
    ASSERT_TRUE(mailed.contains(domain)) << domain;
    ASSERT_EQ(posted.at(domain).size(), 1u) << domain;
    const auto& report = mailed.at(domain);
    EXPECT_EQ(checked_post(posted.at(domain).front()).text(), report.text());
    const auto sessions = sessions_in(report);
    EXPECT_GT(sessions, 0u) << domain;
    EXPECT_LE(sessions, world_saw.at(domain)) << domain;
    EXPECT_GE(sessions + at_kill.at(domain) - durable[domain], world_saw.at(domain)) << domain;
    reported += sessions;
  }
  EXPECT_EQ(counts("postfix.test"), std::vector<Counted>());  // the reports' own sessions are in none
  std::cout << "of " << sum(world_saw) << " sessions " << reported << " are reported; " << at_kill.size()
            << " domains had " << sum(at_kill) - sum(durable) << " in the last second before the SIGKILL\n";
}

}  // namespace
}  // namespace holdfast::world
