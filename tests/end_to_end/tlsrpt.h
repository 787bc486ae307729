// tests/end_to_end/tlsrpt.h — a relay that sends TLS reports, whose days pass when the test says so.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/end_to_end/end_to_end.h"
#include "tests/end_to_end/moved_clock.h"

namespace holdfast::world {

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
    const auto now = std::chrono::system_clock::to_time_t(day_);
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

  const std::chrono::system_clock::time_point day_ = std::chrono::system_clock::now();
  const MovedClock clock_{world_.folder()};
  std::string key_name_, key_record_;
};

}  // namespace holdfast::world
