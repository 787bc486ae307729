// What lowers a requirement by the operator's word: [[exception]] and mode observe. Each is seen in `check`,
// in the log, in a metric and, where it does not reach far enough, in the queue listing.
#include <filesystem>
#include <fstream>

#include "tests/end_to_end/end_to_end.h"

namespace holdfast::world {
namespace {

std::string day_from_now(int days) {
  const auto day =
      std::chrono::floor<std::chrono::days>(std::chrono::system_clock::now()) + std::chrono::days(days);
  const std::chrono::year_month_day date(day);
  char text[16];
  std::snprintf(text, sizeof text, "%04d-%02u-%02u", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
  return text;
}

class Exceptions : public EndToEnd {
 protected:
  MxSettings wrong_certificate() {
    MxSettings settings;
    settings.tls.identity = world_.authority().issue("elsewhere.test");
    return settings;
  }
  void add_enforce(const std::string& domain, MxSettings settings) {
    world_.add_simple_domain(domain, std::move(settings));
    world_.publish_policy(domain, "enforce", {"mx." + domain});
  }
  static std::string exception(const std::string& domain, const std::string& allow, int days = 7) {
    return "\n[[exception]]\ndomain = \"" + domain + "\"\nallow = [\"" + allow +
           "\"]\nreason = \"their certificate, ticket 4711\"\nuntil = " + day_from_now(days) + "\n";
  }
  std::string metric(const std::string& series) {
    const auto got = run_process({"curl", "-s", "--unix-socket", (relay_->data_dir() / "admin.sock").string(),
                                  "http://relay/metrics"});
    const auto at = got.out.find("holdfast_" + series + " ");
    if (at == std::string::npos) return "";
    const auto value = got.out.find(' ', at) + 1;
    return got.out.substr(value, got.out.find('\n', value) - value);
  }
};

TEST_F(Exceptions, LetABadCertificatePassInSightOfAll) {
  add_enforce("partner.test", wrong_certificate());
  start({}, exception("partner.test", "bad-certificate"));
  submit({"bob@partner.test"});
  const auto mail = world_.journal().wait_for_mail_to("bob@partner.test");
  ASSERT_TRUE(mail) << relay_->transcript();
  EXPECT_TRUE(mail->tls.on);
  const auto delivered = wait_for_end("bob@partner.test", "delivered");
  ASSERT_TRUE(delivered);
  EXPECT_EQ((*delivered)["tls.mode"], "exception") << delivered->text();
  const auto attempts = relay_->log({{"event", "attempt"}, {"lowered", "exception"}});
  ASSERT_EQ(attempts.size(), 1u) << relay_->transcript();
  EXPECT_EQ(attempts[0]["exception"], "their certificate, ticket 4711");
  EXPECT_EQ(attempts[0]["enforcing"], "certificate-host-mismatch");
  EXPECT_EQ(metric("policy_lowered_total{cause=\"exception\",result_type=\"certificate-host-mismatch\"}"),
            "1");

  const auto end = relay_->run({"check", "partner.test", "--json"});
  EXPECT_EQ(end.code, 1) << "not as the domain asks";
  const auto line = JsonLine::parse(end.out);
  ASSERT_TRUE(line) << end.out << end.err;
  EXPECT_EQ((*line)["verdict"], "lowered");
  EXPECT_EQ((*line)["exceptions.0.reason"], "their certificate, ticket 4711");
  EXPECT_EQ((*line)["exceptions.0.allow.0"], "bad-certificate");
  EXPECT_EQ((*line)["exceptions.0.until"], day_from_now(7));
  const auto shown = relay_->run({"check", "partner.test"}).out;
  EXPECT_NE(shown.find("exception in force for partner.test: bad-certificate until"), std::string::npos)
      << shown;
}

TEST_F(Exceptions, DoNotReachFurtherThanTheySayAndTheQueueListingTells) {
  add_enforce("partner.test", wrong_certificate());
  Tampering strip;
  strip.strip_starttls = true;
  auto& box = world_.interpose("mx.partner.test", strip);
  start({{"delivery.retry", "[\"1h\"]"}}, exception("partner.test", "bad-certificate"));
  submit({"bob@partner.test"});
  ASSERT_TRUE(wait_for_end("bob@partner.test", "deferred"));
  const auto listed = relay_->run_json({"queue", "list"});
  ASSERT_EQ(listed.size(), 1u);
  EXPECT_NE(listed[0]["reason"].find("exception (their certificate, ticket 4711) does not cover this"),
            std::string::npos)
      << listed[0].text();
  expect_nothing_leaked(box.from_clients(), "bob@partner.test");
}

TEST_F(Exceptions, AreForTheirDomainOnly) {
  add_enforce("partner.test", wrong_certificate());
  add_enforce("other.test", wrong_certificate());
  start({{"delivery.retry", "[\"1h\"]"}}, exception("partner.test", "bad-certificate"));
  submit({"bob@other.test"});
  const auto line = wait_for_end("bob@other.test", "deferred");
  ASSERT_TRUE(line);
  EXPECT_EQ((*line)["enhanced"], "4.7.5");
  EXPECT_TRUE(relay_->log({{"lowered", "exception"}}).empty());
}

TEST_F(Exceptions, AreVoidOnceTheyExpiredWhileTheRelayRuns) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer does not let the relay's clock be moved";
#endif
  const auto library = world_.folder() / "moved_clock.so";
  const auto built = run_process({"cc", "-shared", "-fPIC", "-O1", "-o", library.string(),
                                  HOLDFAST_SOURCE_DIR "/tests/end_to_end/moved_clock.c"});
  ASSERT_EQ(built.code, 0) << built.err;
  const auto clock = world_.folder() / "relay-time";
  const auto move_by = [&clock](std::int64_t seconds) {
    std::fstream file(clock, std::ios::binary | std::ios::in | std::ios::out);
    if (!file) file.open(clock, std::ios::binary | std::ios::out);
    file.write(reinterpret_cast<const char*>(&seconds), sizeof seconds);
  };
  move_by(0);
  add_enforce("partner.test", wrong_certificate());
  start({{"delivery.retry", "[\"1h\"]"}}, exception("partner.test", "bad-certificate"),
        {"env", "LD_PRELOAD=" + library.string(), "MOVED_CLOCK=" + clock.string()});
  submit({"early@partner.test"});
  ASSERT_TRUE(wait_for_end("early@partner.test", "delivered"));
  // The system's clock goes on to the day after its last.
  move_by(8 * 86400);
  submit({"late@partner.test"});
  const auto late = wait_for_end("late@partner.test", "deferred");
  ASSERT_TRUE(late);
  EXPECT_EQ((*late)["enhanced"], "4.7.5") << late->text();
  EXPECT_FALSE(world_.journal().wait_for_mail_to("late@partner.test", Milliseconds(0)));
}

TEST_F(Exceptions, ExpiredOnesAreAnErrorOfTheConfiguration) {
  RelayOptions options;
  options.binary = HOLDFAST_BINARY;
  options.more = exception("partner.test", "bad-certificate", -1);
  world_.add_simple_domain("partner.test");
  relay_ = std::make_unique<Relay>(world_, options);
  const auto end = relay_->run({"config", "check"});
  EXPECT_EQ(end.code, 78);
  EXPECT_NE(end.err.find("exception[0].until"), std::string::npos) << end.err;
}

TEST_F(Exceptions, ObservingMtaStsTellsWhatEnforcingWouldHaveDoneAndDelivers) {
  add_enforce("partner.test", wrong_certificate());
  start({{"sts.mode", "\"observe\""}});
  submit({"bob@partner.test"});
  ASSERT_TRUE(world_.journal().wait_for_mail_to("bob@partner.test")) << relay_->transcript();
  const auto delivered = wait_for_end("bob@partner.test", "delivered");
  ASSERT_TRUE(delivered);
  EXPECT_EQ((*delivered)["tls.mode"], "observe");
  const auto attempts = relay_->log({{"event", "attempt"}, {"lowered", "observe"}});
  ASSERT_EQ(attempts.size(), 1u) << relay_->transcript();
  EXPECT_EQ(attempts[0]["enforcing"], "certificate-host-mismatch");
  EXPECT_EQ(metric("policy_lowered_total{cause=\"observe\",result_type=\"certificate-host-mismatch\"}"), "1");
  const std::vector<Counted> expected = {{"sts", 0, 1, {"certificate-host-mismatch"}}};
  EXPECT_EQ(wait_for_counts("partner.test", expected), expected);
  EXPECT_EQ(relay_->run_json({"check", "partner.test"}).at(0)["verdict"], "lowered");
}

TEST_F(Exceptions, ObservingDaneTellsWhatEnforcingWouldHaveDoneAndDelivers) {
  world_.add_simple_domain("dane.test");
  world_.dns().set_secure("dane.test", true);
  const auto other = self_signed({});
  world_.dns().add("_" + std::to_string(world_.mx_port()) + "._tcp.mx.dane.test", "TLSA",
                   "3 1 1 " + tlsa_association(other.chain_pem, 1, 1));
  start({{"dane.mode", "\"observe\""}});
  submit({"bob@dane.test"});
  ASSERT_TRUE(world_.journal().wait_for_mail_to("bob@dane.test")) << relay_->transcript();
  ASSERT_TRUE(wait_for_end("bob@dane.test", "delivered"));
  const auto attempts = relay_->log({{"event", "attempt"}, {"lowered", "observe"}});
  ASSERT_EQ(attempts.size(), 1u) << relay_->transcript();
  EXPECT_EQ(attempts[0]["enforcing"], "validation-failure");
  EXPECT_EQ(metric("policy_lowered_total{cause=\"observe\",result_type=\"validation-failure\"}"), "1");
  EXPECT_EQ(relay_->run_json({"check", "dane.test"}).at(0)["verdict"], "lowered");
}

}  // namespace
}  // namespace holdfast::world
