// tests/end_to_end/end_to_end.h — the real relay in the test world: what every end-to-end test begins with.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/world/relay.h"
#include "tests/world/smtp_client.h"
#include "tests/world/world.h"

namespace holdfast::world {

// One policy of today's TLS report, as `tlsrpt preview` prints it.
struct Counted {
  std::string type;  // "sts", "no-policy-found", "tlsa"
  int succeeded = 0, failed = 0;
  std::vector<std::string> results;  // the result types of the failures
  bool operator==(const Counted&) const = default;
};

void PrintTo(const Counted& counted, std::ostream* out);

// Asks again and again until it holds or time is up; for what another process knows.
bool eventually(const std::function<bool()>& condition, Milliseconds limit = Milliseconds(20000));

// A message whose envelope and body hold words that must not be seen in clear.
inline constexpr const char* kBodyCanary = "body-canary-7f3a";
inline constexpr const char* kSubjectCanary = "subject-canary-91bc";
std::string canary_message();

class EndToEnd : public testing::Test {
 protected:
  // The senders' own domain is there from the start: bounces go to it.
  EndToEnd();

  // Starts a relay with these settings over the usual ones. Call it once the world is as it shall be.
  void start(std::map<std::string, std::string> settings = {}, const std::string& more = {},
             std::vector<std::string> wrapper = {});

  // Submits over STARTTLS and AUTH; the last reply.
  SmtpReply submit(const std::vector<std::string>& to, const std::string& content = canary_message(),
                   const std::string& from = "shop@sender.test");

  // The next log line about this recipient with this event ("delivered", "deferred", …).
  std::optional<JsonLine> wait_for_end(const std::string& recipient, const std::string& event);

  // The line of `queue list` about this recipient, asked for until it is in this state.
  std::optional<JsonLine> wait_for_listed(const std::string& recipient, const std::string& state);

  // Today's counts for a policy domain.
  std::vector<Counted> counts(const std::string& domain) const;
  // The same, asked for until they are as expected; the last answer.
  std::vector<Counted> wait_for_counts(const std::string& domain, const std::vector<Counted>& expected);

  bool queue_is_empty();
  // No part of the message may be in these bytes.
  static void expect_nothing_leaked(const std::string& wire, const std::string& recipient);

  World world_;
  std::unique_ptr<Relay> relay_;
};

}  // namespace holdfast::world
