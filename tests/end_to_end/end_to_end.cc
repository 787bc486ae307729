#include "tests/end_to_end/end_to_end.h"

#include <ostream>

namespace holdfast::world {

void PrintTo(const Counted& counted, std::ostream* out) {
  *out << counted.type << ": " << counted.succeeded << " ok, " << counted.failed << " failed";
  for (const auto& result : counted.results) *out << " " << result;
}

bool eventually(const std::function<bool()>& condition, Milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  do {
    if (condition()) return true;
    std::this_thread::sleep_for(
        Milliseconds(10));  // what is asked lives in another process: nothing to wait on
  } while (std::chrono::steady_clock::now() < deadline);
  return false;
}

std::string canary_message() {
  std::string message = "From: Shop <shop@sender.test>\r\nSubject: ";
  message.append(kSubjectCanary).append("\r\n\r\n").append(kBodyCanary).append("\r\n");
  return message;
}

EndToEnd::EndToEnd() { world_.add_simple_domain("sender.test"); }

void EndToEnd::start(std::map<std::string, std::string> settings, const std::string& more,
                     std::vector<std::string> wrapper) {
  RelayOptions options;
  options.binary = HOLDFAST_BINARY;
  options.settings = std::move(settings);
  options.more = more;
  options.wrapper = std::move(wrapper);
  relay_ = std::make_unique<Relay>(world_, std::move(options));
  ASSERT_TRUE(relay_->start()) << relay_->transcript();
}

SmtpReply EndToEnd::submit(const std::vector<std::string>& to, const std::string& content,
                           const std::string& from) {
  SmtpClient client(relay_->submission());
  auto reply = client.log_in(Relay::kUser, Relay::kPassword);
  if (reply.code == 235) reply = client.submit(from, to, content);
  EXPECT_EQ(reply.code, 250) << reply.text() << "\n" << relay_->transcript();
  return reply;
}

std::optional<JsonLine> EndToEnd::wait_for_end(const std::string& recipient, const std::string& event) {
  auto line = relay_->wait_for_log({{"event", event}, {"to", recipient}});
  EXPECT_TRUE(line) << "no " << event << " for " << recipient << "\n" << relay_->transcript();
  return line;
}

std::optional<JsonLine> EndToEnd::wait_for_listed(const std::string& recipient, const std::string& state) {
  std::optional<JsonLine> found;
  eventually([&] {
    for (const auto& line : relay_->run_json({"queue", "list"})) {
      if (line["to"] == recipient && line["state"] == state) found = line;
    }
    return found.has_value();
  });
  return found;
}

std::vector<Counted> EndToEnd::counts(const std::string& domain) const {
  std::vector<Counted> all;
  for (const auto& report : relay_->run_json({"tlsrpt", "preview", "--day", "today"})) {
    if (report["domain"] != domain) continue;
    for (int i = 0;; ++i) {
      const auto policy = "report.policies." + std::to_string(i) + ".";
      if (report[policy + "policy.policy-type"].empty()) break;
      Counted counted;
      counted.type = report[policy + "policy.policy-type"];
      counted.succeeded = std::stoi(report[policy + "summary.total-successful-session-count"]);
      counted.failed = std::stoi(report[policy + "summary.total-failure-session-count"]);
      for (int k = 0;; ++k) {
        const auto result = report[policy + "failure-details." + std::to_string(k) + ".result-type"];
        if (result.empty()) break;
        counted.results.push_back(result);
      }
      all.push_back(std::move(counted));
    }
  }
  return all;
}

std::vector<Counted> EndToEnd::wait_for_counts(const std::string& domain,
                                               const std::vector<Counted>& expected) {
  std::vector<Counted> found;
  const auto as_expected = [&] {
    found = counts(domain);
    return found == expected;
  };
  eventually(as_expected, Milliseconds(10000));
  return found;
}

bool EndToEnd::queue_is_empty() {
  return eventually([&] { return relay_->run_json({"queue", "list"}).empty(); }, Milliseconds(10000));
}

void EndToEnd::expect_nothing_leaked(const std::string& wire, const std::string& recipient) {
  for (const std::string& canary :
       {std::string(kBodyCanary), std::string(kSubjectCanary), recipient, std::string("shop@sender.test"),
        std::string("MAIL FROM"), std::string("RCPT TO")}) {
    EXPECT_EQ(wire.find(canary), std::string::npos) << canary << " was seen in clear";
  }
}

}  // namespace holdfast::world
