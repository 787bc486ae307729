// A day passes: what was counted is reported, once, by mail and by HTTPS, whatever happens in between.
#include <stdlib.h>

#include <fstream>
#include <set>

#include "tests/end_to_end/end_to_end.h"
#include "tests/end_to_end/postfix.h"

namespace holdfast::world {
namespace {

using std::chrono::system_clock;

class TlsReports : public EndToEnd {
 protected:
  void SetUp() override {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "a sanitizer does not let the relay's clock be moved";
#endif
    const auto built = run_process({"cc", "-shared", "-fPIC", "-O1", "-o", library().string(),
                                    HOLDFAST_SOURCE_DIR "/tests/end_to_end/moved_clock.c"});
    ASSERT_EQ(built.code, 0) << built.err;
  }

  // The relay's wall clock is moved by a file; its steady clock is left alone.
  void start_reporting(std::map<std::string, std::string> settings = {}) {
    settings.insert({"tlsrpt.contact", "\"tls@sender.test\""});
    settings.insert({"tlsrpt.organization", "\"Sender Ltd\""});
    settings.insert({"tlsrpt.jitter", "\"0s\""});
    settings.insert({"tlsrpt.https_port", std::to_string(world_.https_port())});
    settings.insert({"delivery.retry", "[\"1h\"]"});
    live_at_noon_after(0);
    start(std::move(settings), {}, in_relay_time());
  }

  std::vector<std::string> in_relay_time() const {
    return {"env", "LD_PRELOAD=" + library().string(), "MOVED_CLOCK=" + time_file().string()};
  }

  std::filesystem::path library() const { return world_.folder() / "moved_clock.so"; }
  std::filesystem::path time_file() const { return world_.folder() / "relay-time"; }

  // It becomes noon of the test's day, or of a later one: both ends of a day are far then.
  void live_at_noon_after(int days) const {
    const auto noon =
        std::chrono::floor<std::chrono::days>(day_) + std::chrono::days(days) + std::chrono::hours(12);
    const std::int64_t offset = std::chrono::floor<std::chrono::seconds>(noon - day_).count();
    std::fstream file(time_file(), std::ios::binary | std::ios::in | std::ios::out);
    if (!file) file.open(time_file(), std::ios::binary | std::ios::out);
    file.write(reinterpret_cast<const char*>(&offset), sizeof offset);
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
    auto command = in_relay_time();  // a signature of tomorrow is none
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
  for (const char* domain : {"bounced.test", "unreachable.test", "ill.test", "unusable.test", "full.test"}) {
    world_.add_simple_domain(domain);
  }
  world_.mx("mx.full.test").on(Stage::rcpt, Reaction::reply("550 5.2.2 mailbox full"));
  world_.publish_tlsrpt("bounced.test", "mailto:tls@full.test");
  world_.publish_tlsrpt("unreachable.test", "https://nobody.test/v1");
  world_.dns().replace("nobody.test", "A", world_.reserve_mx_address().ip);  // no web server listens there
  world_.publish_tlsrpt("ill.test", "https://ill.reports.test/v1");
  serve_reports("ill.reports.test", 404);
  world_.publish_tlsrpt("unusable.test", "gopher://unusable.test");
  start_reporting();
  publish_key();
  for (const char* to : {"b@bounced.test", "b@unreachable.test", "b@ill.test", "b@unusable.test"}) {
    submit({to});
    ASSERT_TRUE(world_.journal().wait_for_mail_to(to)) << relay_->transcript();
  }

  pass_midnight();
  const auto line_of = [&](const std::string& kind, const std::string& field, const std::string& value) {
    for (const auto& line : relay_->run_json({"tlsrpt", "status", "--all"})) {
      if (line["kind"] == kind && line[field] == value) return line;
    }
    return JsonLine();
  };
  const auto says = [&](const std::string& domain, const std::string& state, const std::string& reason) {
    const auto line = line_of("report", "domain", domain);
    return line["targets.0.state"] == state && line["targets.0.reason"].find(reason) != std::string::npos;
  };
  const auto shown = [&] { return relay_->run({"tlsrpt", "status", "--all"}).out; };
  const auto has_bounced = [&] {
    hurry();
    return says("bounced.test", "bounced", "550 5.2.2 mailbox full");
  };
  EXPECT_TRUE(eventually(has_bounced)) << shown();
  EXPECT_TRUE(eventually([&] { return says("ill.test", "waiting", "HTTP status 404"); })) << shown();
  EXPECT_TRUE(eventually([&] { return says("unreachable.test", "waiting", "connect"); })) << shown();
  EXPECT_EQ(line_of("report", "domain", "unusable.test")["reason"], "the record names no usable target");
  EXPECT_NE(line_of("suppressed", "address", "tls@full.test")["until"], "");
  const auto table = shown();
  for (const char* words : {"550 5.2.2 mailbox full", "HTTP status 404", "https://nobody.test/v1",
                            "the record names no usable target"}) {
    EXPECT_NE(table.find(words), std::string::npos) << words << " is not in\n" << table;
  }
}

// Twelve domains of every kind; the world counts the sessions that it sees, and the reports must say the
// same.
class TlsReportsOfADay : public TlsReports {
 protected:
  static constexpr int kMessages = 42;  // to each domain; 504 in all

  MxSettings with(Identity identity) {
    MxSettings settings;
    settings.tls.identity = std::move(identity);
    return settings;
  }

  // Every other domain wants its report by HTTPS.
  void add(const std::string& domain, const std::string& policy = {}, MxSettings settings = {}) {
    world_.add_simple_domain(domain, std::move(settings));
    if (!policy.empty()) world_.publish_policy(domain, policy, {"mx." + domain});
    const bool by_mail = domains_.size() % 2 == 0;
    world_.publish_tlsrpt(
        domain, by_mail ? "mailto:" + domain + "@collector.test" : "https://reports.test/" + domain);
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
    world_.add_simple_domain("collector.test");
    serve_reports("reports.test");
  }

  // One message to each domain.
  void submit_round(SmtpClient& client, int number) {
    for (const auto& domain : domains_) {
      const auto to = "u" + std::to_string(number) + "@" + domain;
      EXPECT_EQ(client.submit("shop@sender.test", {to}, canary_message()).code, 250);
    }
  }
  void submit_rounds(int from, int to) {
    SmtpClient client(relay_->trusted());
    client.command("EHLO client.test");
    for (int i = from; i < to; ++i) submit_round(client, i);
  }

  std::map<std::string, std::size_t> seen() {
    std::map<std::string, std::size_t> counts;
    for (const auto& domain : domains_) counts[domain] = world_.journal().sessions("mx." + domain).size();
    return counts;
  }

  static int sum(const std::vector<Counted>& policies) {
    int sessions = 0;
    for (const auto& policy : policies) sessions += policy.succeeded + policy.failed;
    return sessions;
  }

  std::vector<std::string> domains_;
};

TEST_F(TlsReportsOfADay, TellsEveryDomainOnceWhatTheWorldSaw) {
  add_domains();
  start_reporting({{"delivery.messages_per_connection", "1"}});
  publish_key();
  submit_rounds(0, 14);
  EXPECT_EQ(relay_->terminate(), 0) << relay_->transcript();
  ASSERT_TRUE(relay_->start()) << relay_->transcript();

  // Killed among deliveries: what it had counted for a second is on disk, what came after may be lost.
  std::map<std::string, std::size_t> durable;
  {
    SmtpClient client(relay_->trusted());
    client.command("EHLO client.test");
    int round = 14;
    for (; round < 20; ++round) submit_round(client, round);
    durable = seen();
    const auto counted = std::chrono::steady_clock::now();
    for (; round < 28; ++round) submit_round(client, round);
    eventually([&] { return std::chrono::steady_clock::now() - counted > Milliseconds(1500); });
  }
  relay_->kill();
  const auto at_kill = seen();
  ASSERT_TRUE(relay_->start()) << relay_->transcript();
  submit_rounds(28, kMessages);

  // Quiet: all that can be delivered is.
  for (const auto& domain : domains_) {
    if (world_.journal().mails().empty() || domain == "expired.test" || domain == "untrusted.test" ||
        domain == "wrongname.test" || domain == "busy.test" || domain == "refusing.test")
      continue;
    for (int i = 0; i < kMessages; ++i) {
      const auto to = "u" + std::to_string(i) + "@" + domain;
      ASSERT_TRUE(world_.journal().wait_for_mail_to(to, Milliseconds(60000))) << to;
    }
  }
  ASSERT_TRUE(eventually([&] {
    for (const auto& session : world_.journal().sessions()) {
      if (!session.over) return false;
    }
    const auto before = seen();
    for (const auto& domain : domains_) sum(counts(domain));
    return before == seen();
  }));
  const auto world_saw = seen();

  pass_midnight();
  EXPECT_TRUE(eventually([&] {
    hurry();
    return !mails_to(domains_.front() + "@collector.test").empty();
  }));
  std::size_t all = 0;
  for (std::size_t i = 0; i < domains_.size(); ++i) {
    const auto& domain = domains_[i];
    const bool by_mail = i % 2 == 0;
    JsonLine report;
    if (by_mail) {
      const auto mail = world_.journal().wait_for_mail_to(domain + "@collector.test", Milliseconds(60000));
      ASSERT_TRUE(mail) << domain << "\n" << relay_->transcript().substr(0, 4000);
      report = checked_mail(*mail);
    } else {
      const auto posts = [&] {
        std::vector<HttpRequest> found;
        for (const auto& request : world_.https().requests("reports.test")) {
          if (request.path == "/" + domain) found.push_back(request);
        }
        return found;
      };
      ASSERT_TRUE(eventually([&] { return !posts().empty(); })) << domain;
      report = checked_post(posts().front());
      EXPECT_EQ(posts().size(), 1u) << domain;
    }
    std::size_t reported = 0;
    for (int k = 0; !report["policies." + std::to_string(k) + ".policy.policy-type"].empty(); ++k) {
      const auto summary = "policies." + std::to_string(k) + ".summary.total-";
      reported += std::stoul(report[summary + "successful-session-count"]);
      reported += std::stoul(report[summary + "failure-session-count"]);
    }
    const std::size_t lost_at_most = at_kill.at(domain) - durable.at(domain);
    EXPECT_LE(reported, world_saw.at(domain)) << domain;
    EXPECT_GE(reported + lost_at_most, world_saw.at(domain)) << domain;
    EXPECT_GT(reported, 0u) << domain;
    all += reported;
  }
  EXPECT_GT(all, 250u);
  relay_->kill();
  ASSERT_TRUE(relay_->start()) << relay_->transcript();
  expect_all_sent();
  for (std::size_t i = 0; i < domains_.size(); i += 2) {
    EXPECT_EQ(mails_to(domains_[i] + "@collector.test").size(), 1u) << domains_[i];
  }
  EXPECT_EQ(world_.https().request_count("reports.test"), domains_.size() / 2);
}

}  // namespace
}  // namespace holdfast::world
