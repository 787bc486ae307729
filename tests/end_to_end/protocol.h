// tests/end_to_end/protocol.h — one case per line of what the protocols ask: a domain d.test is arranged, a
// message is sent to it by the real relay, and one thing is expected. The README's table maps lines to cases.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/end_to_end/end_to_end.h"

namespace holdfast::world {

inline constexpr const char* kDomain = "d.test";
inline constexpr const char* kTheMx = "mx.d.test";

struct ProtocolCase {
  std::string name;  // a sentence
  std::function<void(World&)> arrange;
  enum class End {
    held,      // 4.7.5, and no word of it was on any wire
    waits,     // 4.4.3: DNS cannot tell
    over_tls,  // delivered
    in_clear,  // delivered
  } end = End::held;
  std::vector<Counted> counts{};  // today's, for d.test; empty: not looked at
  std::function<void(World&, Relay&)> also{};
  std::map<std::string, std::string> settings{};
  std::string to = "bob@d.test";
  std::string logged = to;  // domains are A-labels there
};

inline void PrintTo(const ProtocolCase& one, std::ostream* out) { *out << one.name; }

// The fixture of all; a suite names its own class after its section.
class ProtocolTest : public EndToEnd, public testing::WithParamInterface<ProtocolCase> {
 protected:
  void prove() {
    const ProtocolCase& one = GetParam();
    one.arrange(world_);
    auto settings = one.settings;
    settings.emplace("delivery.retry", "[\"1h\"]");
    start(std::move(settings));
    send(one.to);
    if (one.end == ProtocolCase::End::held || one.end == ProtocolCase::End::waits) {
      const auto line = wait_for_end(one.logged, "deferred");
      ASSERT_TRUE(line);
      EXPECT_EQ((*line)["enhanced"], one.end == ProtocolCase::End::held ? "4.7.5" : "4.4.3") << line->text();
      EXPECT_TRUE(world_.journal().mails().empty()) << relay_->transcript();
      for (const auto& session : world_.journal().sessions())
        expect_nothing_leaked(session.wire->received(), one.to);
    } else {
      const auto mail = world_.journal().wait_for_mail_to(one.to);
      ASSERT_TRUE(mail) << relay_->transcript();
      EXPECT_EQ(mail->tls.on, one.end == ProtocolCase::End::over_tls) << relay_->transcript();
    }
    if (!one.counts.empty()) {
      EXPECT_EQ(wait_for_counts(kDomain, one.counts), one.counts);
    }
    if (one.also) one.also(world_, *relay_);
  }

 private:
  void send(const std::string& to) {
    SmtpClient client(relay_->submission());
    ASSERT_EQ(client.log_in(Relay::kUser, Relay::kPassword).code, 235);
    const bool utf8 =
        std::any_of(to.begin(), to.end(), [](char c) { return static_cast<signed char>(c) < 0; });
    ASSERT_EQ(client.command(std::string("MAIL FROM:<shop@sender.test>") + (utf8 ? " SMTPUTF8" : "")).code,
              250);
    ASSERT_EQ(client.command("RCPT TO:<" + to + ">").code, 250);
    ASSERT_EQ(client.data(canary_message()).code, 250) << relay_->transcript();
  }
};

inline MxSettings showing(Identity identity) {
  MxSettings settings;
  settings.tls.identity = std::move(identity);
  return settings;
}

// An MX that verification refuses: what is held there is held by a policy.
inline MxSettings untrusted(World& world, const std::string& host = kTheMx) {
  return showing(world.other_authority().issue(host));
}

inline void add_enforce(World& world, MxSettings settings = {}) {
  world.add_simple_domain(kDomain, std::move(settings));
  world.publish_policy(kDomain, "enforce", {kTheMx});
}

inline auto name_of_case = [](const testing::TestParamInfo<ProtocolCase>& info) { return info.param.name; };

}  // namespace holdfast::world
