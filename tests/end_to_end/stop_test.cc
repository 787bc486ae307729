// What a stop does to those who are in the middle of something.
#include <signal.h>

#include <list>

#include "tests/end_to_end/end_to_end.h"

namespace holdfast::world {
namespace {

class Stop : public EndToEnd {
 protected:
  void SetUp() override { world_.add_simple_domain("far.test"); }

  static void begin_message(SmtpClient& client, const std::string& to) {
    client.command("MAIL FROM:<shop@sender.test>");
    client.command("RCPT TO:<" + to + ">");
    EXPECT_EQ(client.command("DATA").code, 354);
  }
  static bool is_refused(const Endpoint& server) {
    try {
      const SmtpClient client(server);
      return false;
    } catch (const std::system_error&) {
      return true;
    }
  }
};

TEST_F(Stop, ClosesAllPortsAtOnceAndKeepsForTheNextStartWhatTheLastSessionHandsIn) {
  start({{"shutdown.grace", "\"5m\""}});
  SmtpClient last(relay_->submission()), idle(relay_->submission()), elsewhere(relay_->trusted());
  ASSERT_EQ(last.log_in(Relay::kUser, Relay::kPassword).code, 235);
  begin_message(last, "last@far.test");
  ASSERT_EQ(::kill(relay_->pid(), SIGTERM), 0);
  EXPECT_EQ(idle.read_reply().code, 421);
  EXPECT_EQ(elsewhere.read_reply().code, 421);
  EXPECT_TRUE(is_refused(relay_->submission()));
  EXPECT_TRUE(is_refused(relay_->trusted()));
  EXPECT_TRUE(last.send(canary_message() + ".\r\n"));
  EXPECT_EQ(last.read_reply().code, 250);
  EXPECT_EQ(last.read_reply().code, 421);
  EXPECT_EQ(relay_->terminate(Milliseconds(60000)), 0) << relay_->transcript();
  EXPECT_TRUE(relay_->log({{"event", "delivered"}}).empty()) << "it begins no delivery any more";
  ASSERT_TRUE(relay_->start()) << relay_->transcript();
  EXPECT_TRUE(wait_for_end("last@far.test", "delivered"));
  EXPECT_EQ(world_.journal().mails().size(), 1u);
}

// Each of them could hold the relay for a minute, and could come again and again.
TEST_F(Stop, StrangersInAHandshakeDoNotHoldItUp) {
  start({{"shutdown.grace", "\"5m\""}});
  std::list<SmtpClient> strangers;
  for (int i = 0; i < 5; ++i) {
    strangers.emplace_back(relay_->submission());
    strangers.back().command("EHLO stranger.test");
    EXPECT_EQ(strangers.back().command("STARTTLS").code, 220);
  }
  EXPECT_EQ(relay_->terminate(Milliseconds(30000)), 0) << relay_->transcript();
}

}  // namespace
}  // namespace holdfast::world
