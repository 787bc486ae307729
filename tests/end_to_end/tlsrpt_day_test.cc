// A whole day of twelve domains, with a restart and a SIGKILL in it: each is told once what the world saw.
#include <iostream>

#include "tests/end_to_end/postfix.h"
#include "tests/end_to_end/tlsrpt.h"

namespace holdfast::world {
namespace {

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
