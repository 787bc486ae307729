// Every metric that users depend on moves when what it counts happens, and Prometheus's own tool finds
// nothing to say about any of them.
#include <unistd.h>

#include <iostream>
#include <map>
#include <set>
#include <sstream>

#include "tests/end_to_end/end_to_end.h"
#include "tests/end_to_end/moved_clock.h"

namespace holdfast::world {
namespace {

constexpr const char* kPromtool = "/usr/bin/promtool";
// Those of the list that stay what they are while a relay runs; each is looked at by itself.
const std::set<std::string> kConstant = {"build_info", "dnssec_validating"};
const std::set<std::string> kAll = {"messages_accepted_total",
                                    "submission_rejections_total",
                                    "auth_attempts_total",
                                    "queue_messages",
                                    "queue_bytes",
                                    "queue_oldest_age_seconds",
                                    "delivery_attempts_total",
                                    "delivery_duration_seconds",
                                    "message_delay_seconds",
                                    "tls_sessions_total",
                                    "sts_fetch_total",
                                    "sts_downgrade_total",
                                    "dane_lookups_total",
                                    "dns_lookup_duration_seconds",
                                    "tlsrpt_reports_total",
                                    "store_commit_duration_seconds",
                                    "store_batch_messages",
                                    "store_free_bytes",
                                    "certificate_expiry_timestamp_seconds",
                                    "dnssec_validating",
                                    "build_info"};

// Beyond those of the list.
const std::set<std::string> kMore = {"policy_lowered_total", "sts_unknown_total",
                                     "submission_unusual_volume_total", "certificate_reload_failures_total"};

class Metrics : public EndToEnd {
 protected:
  std::string scrape() const {
    return run_process({"curl", "-s", "--unix-socket", (relay_->data_dir() / "admin.sock").string(),
                        "http://relay/metrics"})
        .out;
  }
  // The sum of a metric's series; of a histogram the count of what was observed.
  static std::map<std::string, double> sums(const std::string& text) {
    std::map<std::string, double> all;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) {
      constexpr std::string_view kPrefix = "holdfast_";
      if (!line.starts_with(kPrefix)) continue;
      std::string name = line.substr(kPrefix.size(), line.find_first_of("{ ") - kPrefix.size());
      if (name.ends_with("_bucket") || name.ends_with("_sum")) continue;
      if (name.ends_with("_count")) name.resize(name.size() - 6);
      all[name] += std::stod(line.substr(line.rfind(' ')));
    }
    return all;
  }
  void write_certificate(std::chrono::hours valid) {
    CertificateSpec spec;
    spec.dns_names = {"relay.test"};
    spec.valid_until = valid;
    world_.authority().issue(spec).write_to(world_.folder());
  }
  void expect_no_complaint(const ProcessEnd& end) {
    EXPECT_EQ(end.code, 0) << end.out << end.err;
    EXPECT_EQ(end.err, "");
  }

  void make_domains() {
    world_.add_simple_domain("good.test");
    world_.publish_policy("good.test", "enforce", {"mx.good.test"});
    world_.publish_tlsrpt("good.test", "https://reports.test/good");
    world_.https().serve("reports.test", HttpReply());
    world_.dns().replace("reports.test", "A", world_.https().endpoint().ip);
    world_.add_simple_domain("dane.test");
    world_.dns().set_secure("dane.test", true);
    world_.dns().add("_" + std::to_string(world_.mx_port()) + "._tcp.mx.dane.test", "TLSA",
                     "3 1 1 " + tlsa_association(self_signed({}).chain_pem, 1, 1));
    world_.add_simple_domain("busy.test");
    world_.mx("mx.busy.test").on(Stage::rcpt, Reaction::reply("450 4.2.0 busy"));
  }

  void live() {
    SmtpClient stranger(relay_->submission());
    EXPECT_EQ(stranger.log_in(Relay::kUser, "guess").code, 535);
    submit({"ann@good.test"});
    ASSERT_TRUE(wait_for_end("ann@good.test", "delivered"));
    submit({"dan@dane.test"});
    ASSERT_TRUE(wait_for_end("dan@dane.test", "deferred"));
    std::string large = canary_message();  // so large that the disk has less room
    for (int i = 0; i < 10'000; ++i)
      large += "sixty letters that mean nothing, sixty letters that mean no\r\n";
    submit({"bob@busy.test"}, large);
    ASSERT_TRUE(wait_for_end("bob@busy.test", "deferred"));
    world_.publish_policy("good.test", "none", {}, "2");
    EXPECT_EQ(relay_->run({"sts", "refresh", "good.test"}).code, 0);
    write_certificate(std::chrono::hours(48));
    EXPECT_EQ(relay_->run({"reload"}).code, 0);
  }
};

TEST_F(Metrics, AllMoveAndPleasePromtool) {
  make_domains();
  write_certificate(std::chrono::hours(240));
  const MovedClock clock(world_.folder());
  const bool days_pass = MovedClock::missing().empty();
  std::map<std::string, std::string> settings = {
      {"tls.certificate", "\"" + (world_.folder() / "certificate.pem").string() + "\""},
      {"tls.private_key", "\"" + (world_.folder() / "key.pem").string() + "\""},
      {"delivery.retry", "[\"1h\"]"},
      {"tlsrpt.jitter", "\"0s\""},
      {"tlsrpt.https_port", std::to_string(world_.https_port())}};
  start(settings, {}, days_pass ? clock.wrapper() : std::vector<std::string>());
  ASSERT_TRUE(eventually([&] { return sums(scrape()).contains("dnssec_validating"); })) << scrape();
  const auto before = sums(scrape());
  EXPECT_EQ(before.at("dnssec_validating"), 0);
  EXPECT_EQ(before.at("build_info"), 1);

  live();
  std::set<std::string> expected = kAll;
  for (const auto& name : kConstant) expected.erase(name);
  if (days_pass) {
    clock.move_by(std::chrono::hours(48));
    ASSERT_TRUE(
        eventually([&] { return world_.https().request_count("reports.test") > 0; }, Milliseconds(60000)))
        << relay_->transcript();
  } else {
    expected.erase("tlsrpt_reports_total");
  }
  std::set<std::string> still;
  const auto all_moved = [&] {
    const auto after = sums(scrape());
    still.clear();
    for (const auto& name : expected) {
      const auto was = before.find(name), is = after.find(name);
      const bool moved = is != after.end() && (was == before.end() || was->second != is->second);
      if (!moved) still.insert(name);
    }
    return still.empty();
  };
  std::string names;
  const bool moved = eventually(all_moved, Milliseconds(30000));
  for (const auto& name : still) names += " " + name;
  EXPECT_TRUE(moved) << "these do not move:" << names << "\n" << scrape();

  if (::access(kPromtool, X_OK) == 0) {
    expect_no_complaint(run_process({kPromtool, "check", "metrics"}, Milliseconds(60000), {}, scrape()));
  } else {
    std::cout << "promtool is not installed: the text was not checked by it\n";
  }

  // The same relay behind a resolver that validates.
  relay_->kill();
  world_.dns().set_secure("", true);
  world_.dns().add("", "SOA", "a.root.test hostmaster.root.test 1 1 1 1 1");
  ASSERT_TRUE(relay_->start()) << relay_->transcript();
  EXPECT_TRUE(eventually([&] { return sums(scrape())["dnssec_validating"] == 1; })) << scrape();
}

TEST_F(Metrics, AlertRulesPleasePromtoolAndNameMetricsThatExist) {
  const std::string rules = HOLDFAST_SOURCE_DIR "/docker/monitoring/alerts.yml";
  std::ifstream file(rules);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  ASSERT_FALSE(text.empty());
  std::size_t found = 0;
  for (auto at = text.find("holdfast_"); at != std::string::npos; at = text.find("holdfast_", at + 1)) {
    const auto name = text.substr(at + 9, text.find_first_not_of("abcdefghijklmnopqrstuvwxyz_", at) - at - 9);
    EXPECT_TRUE(kAll.contains(name) || kMore.contains(name)) << name;
    ++found;
  }
  EXPECT_GT(found, 5u);
  if (::access(kPromtool, X_OK) != 0) GTEST_SKIP() << "promtool is not installed";
  expect_no_complaint(run_process({kPromtool, "check", "rules", rules}));
}

}  // namespace
}  // namespace holdfast::world
