// What a submission client may and may not do, seen on the real relay.
#include <signal.h>

#include <fstream>

#include "tests/end_to_end/end_to_end.h"

namespace holdfast::world {
namespace {

class Submission : public EndToEnd {};

TEST_F(Submission, OffersNoAuthBeforeTlsAndAllOfItsExtensionsAfter) {
  start();
  SmtpClient client(relay_->submission());
  const auto before = client.command("EHLO client.test");
  EXPECT_TRUE(before.has_line("STARTTLS"));
  EXPECT_FALSE(before.has_line("AUTH"));
  EXPECT_EQ(client.auth_plain(Relay::kUser, Relay::kPassword).code / 100, 5);
  ASSERT_TRUE(client.starttls());
  const auto after = client.command("EHLO client.test");
  EXPECT_TRUE(after.has_line("AUTH PLAIN LOGIN"));
  EXPECT_FALSE(after.has_line("STARTTLS"));
  for (const char* extension : {"PIPELINING", "SIZE", "8BITMIME", "ENHANCEDSTATUSCODES"}) {
    EXPECT_TRUE(before.has_line(extension)) << extension;
    EXPECT_TRUE(after.has_line(extension)) << extension;
  }
}

TEST_F(Submission, RefusesAWrongPasswordAnUnknownUserAndAForeignSender) {
  start();
  SmtpClient wrong(relay_->submission());
  EXPECT_EQ(wrong.log_in(Relay::kUser, "guess").code, 535);
  SmtpClient unknown(relay_->submission());
  EXPECT_EQ(unknown.log_in("nobody", Relay::kPassword).code, 535);
  SmtpClient silent(relay_->submission());
  silent.command("EHLO client.test");
  EXPECT_EQ(silent.command("MAIL FROM:<shop@sender.test>").code / 100, 5);
  SmtpClient foreign(relay_->submission());
  ASSERT_EQ(foreign.log_in(Relay::kUser, Relay::kPassword).code, 235);
  EXPECT_EQ(foreign.command("MAIL FROM:<ceo@elsewhere.test>").code / 100, 5);
}

TEST_F(Submission, ThrowsAwayWhatIsPipelinedBehindStarttls) {
  start();
  SmtpClient client(relay_->submission());
  client.command("EHLO client.test");
  ASSERT_TRUE(client.send("STARTTLS\r\nEHLO injected.test\r\nMAIL FROM:<shop@sender.test>\r\n"));
  EXPECT_EQ(client.read_reply().code, 220);
  ASSERT_TRUE(client.handshake());
  // Had the injected EHLO counted, AUTH would be known and tried; had the MAIL, a second one would be refused
  // so.
  EXPECT_EQ(client.auth_plain(Relay::kUser, Relay::kPassword).code, 503);
  EXPECT_TRUE(client.command("EHLO client.test").has_line("AUTH "));
  EXPECT_EQ(client.auth_plain(Relay::kUser, Relay::kPassword).code, 235);
  EXPECT_EQ(client.command("MAIL FROM:<shop@sender.test>").code, 250);
}

TEST_F(Submission, RefusesBareLineEndsInDataAndQueuesNothing) {
  start();
  SmtpClient client(relay_->trusted());
  client.command("EHLO client.test");
  client.command("MAIL FROM:<shop@sender.test>");
  client.command("RCPT TO:<bob@sender.test>");
  ASSERT_EQ(client.command("DATA").code, 354);
  client.send("Subject: smuggled\r\n\r\nfirst\n.\nMAIL FROM:<evil@sender.test>\r\n.\r\n");
  EXPECT_EQ(client.read_reply().code / 100, 5);
  EXPECT_TRUE(queue_is_empty());
  EXPECT_TRUE(world_.journal().mails().empty());
}

TEST_F(Submission, Answers452WhenTheDiskReserveIsReached) {
  start({{"queue.min_free_space", "\"99%\""}});
  SmtpClient client(relay_->trusted());
  client.command("EHLO client.test");
  EXPECT_EQ(client.command("MAIL FROM:<shop@sender.test>").code, 452) << relay_->transcript();
}

TEST_F(Submission, TellsFileLineKeyAndRemedyOfABadConfigurationAndExits78) {
  start();
  const auto file = relay_->config_file();
  std::ofstream(file, std::ios::app) << "\n[limits]\nmesage_size = \"1MiB\"\n";
  std::size_t lines = 0;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) ++lines;
  for (const auto& command :
       {std::vector<std::string>{"serve"}, std::vector<std::string>{"config", "check"}}) {
    const auto end = relay_->run(command);
    EXPECT_EQ(end.code, 78);
    const auto text = end.out + end.err;
    EXPECT_NE(text.find(file.string() + ":" + std::to_string(lines)), std::string::npos) << text;
    EXPECT_NE(text.find("mesage_size"), std::string::npos) << text;
    EXPECT_NE(text.find("message_size"), std::string::npos) << text;
  }
}

TEST_F(Submission, SaysThatTheRelayIsNotReachableWhenItIsDown) {
  start();
  EXPECT_EQ(relay_->terminate(), 0);
  EXPECT_EQ(relay_->run({"queue", "list"}).code, 69);
}

}  // namespace
}  // namespace holdfast::world
