#include "tests/world/middlebox.h"

#include <gtest/gtest.h>

#include "tests/world/smtp_client.h"
#include "tests/world/world.h"

namespace holdfast::world {
namespace {

class WorldMiddlebox : public testing::Test {
 protected:
  WorldMiddlebox() { world_.add_simple_domain("victim.test"); }
  Middlebox& tamper(const Tampering& tampering) { return world_.interpose("mx.victim.test", tampering); }
  World world_;
};

TEST_F(WorldMiddlebox, PassesEverythingWhenToldNothing) {
  auto& box = tamper({});
  SmtpClient client(box.endpoint());
  client.command("EHLO client.test");
  ASSERT_TRUE(client.starttls({"mx.victim.test", world_.authority().root_pem(), {}}));
  client.command("EHLO client.test");
  EXPECT_EQ(client.submit("a@sender.test", {"b@victim.test"}, "Subject: canary\r\n\r\nx\r\n").code, 250);
  EXPECT_TRUE(world_.journal().wait_for_mail_to("b@victim.test"));
  EXPECT_EQ(box.connections(), 1u);
  EXPECT_EQ(box.from_clients(), client.wire().sent());
  EXPECT_EQ(box.from_clients().find("canary"), std::string::npos);
}

TEST_F(WorldMiddlebox, StripsStarttlsAndLeavesAValidReply) {
  Tampering tampering;
  tampering.strip_starttls = true;
  auto& box = tamper(tampering);
  SmtpClient client(box.endpoint());
  const auto reply = client.command("EHLO client.test");
  EXPECT_EQ(reply.code, 250);
  EXPECT_TRUE(reply.has_line("PIPELINING"));
  EXPECT_FALSE(reply.has_line("STARTTLS"));
  EXPECT_EQ(client.command("STARTTLS").code, 500);
  EXPECT_EQ(client.submit("a@sender.test", {"b@victim.test"}, "Subject: canary\r\n\r\nx\r\n").code, 250);
  EXPECT_NE(box.from_clients().find("canary"), std::string::npos);
}

TEST_F(WorldMiddlebox, InjectsBehindTheReplyToStarttls) {
  Tampering tampering;
  tampering.inject_after_starttls = "250 injected\r\n";
  auto& box = tamper(tampering);
  SmtpClient client(box.endpoint());
  EXPECT_TRUE(client.command("EHLO client.test").has_line("STARTTLS"));
  EXPECT_EQ(client.command("STARTTLS").code, 220);
  EXPECT_EQ(client.read_reply().text(), "injected");
}

TEST_F(WorldMiddlebox, TampersAtByteOffsets) {
  const std::string greeting = "220 mx.victim.test ESMTP ready\r\n";
  Tampering injecting;
  injecting.injections = {{Tampering::Way::to_client, 4, "evil."}};
  auto& box = tamper(injecting);
  EXPECT_EQ(SmtpClient(box.endpoint()).greeting().text(), "evil.mx.victim.test ESMTP ready");

  Tampering flipping;
  flipping.flip_to_client = 0;
  box.set(flipping);
  EXPECT_EQ(SmtpClient(box.endpoint()).greeting().code, 320);  // '2' ^ 1 is '3'

  Tampering cutting;
  cutting.cut_to_client = greeting.size() - 1;
  box.set(cutting);
  SmtpClient cut(box.endpoint());
  EXPECT_EQ(cut.greeting().code, 0);
  EXPECT_EQ(cut.wire().received(), greeting.substr(0, greeting.size() - 1));

  Tampering delaying;
  delaying.delay_to_client = 10;
  delaying.delay = Milliseconds(50);
  box.set(delaying);
  const auto before = std::chrono::steady_clock::now();
  EXPECT_EQ(SmtpClient(box.endpoint()).greeting().code, 220);
  EXPECT_GE(std::chrono::steady_clock::now() - before, Milliseconds(50));
}

}  // namespace
}  // namespace holdfast::world
