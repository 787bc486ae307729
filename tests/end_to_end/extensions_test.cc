// What EHLO offers holds to the far side: each extension through the real relay.
#include "tests/end_to_end/end_to_end.h"

namespace holdfast::world {
namespace {

class Extensions : public EndToEnd {
 protected:
  // Through the listener that asks for no login; the last reply.
  SmtpReply say_all(const std::vector<std::string>& commands) {
    if (!client_) {
      client_ = std::make_unique<SmtpClient>(relay_->trusted());
      client_->command("EHLO client.test");
    }
    SmtpReply reply;
    for (const auto& command : commands) {
      reply = client_->command(command);
      EXPECT_LT(reply.code, 400) << command << ": " << reply.text();
    }
    return reply;
  }

  std::unique_ptr<SmtpClient> client_;
};

constexpr const char* kContent = "From: shop@sender.test\r\nSubject: x\r\n\r\nbody\r\n";

TEST_F(Extensions, Smtputf8CarriesInternationalisedAddresses) {
  world_.add_simple_domain("xn--bcher-kva.test");
  start();
  say_all({"MAIL FROM:<j\xC3\xBCrg@sender.test> SMTPUTF8 BODY=8BITMIME",
           "RCPT TO:<gr\xC3\xBC\xC3\x9F@b\xC3\xBC"
           "cher.test>"});
  EXPECT_EQ(
      client_->data("From: J\xC3\xBCrg <j\xC3\xBCrg@sender.test>\r\nSubject: \xE2\x82\xAC\r\n\r\nbody\r\n")
          .code,
      250);
  const auto mail =
      world_.journal().wait_for_mail([](const Mail& found) { return found.mx == "mx.xn--bcher-kva.test"; });
  ASSERT_TRUE(mail) << relay_->transcript();
  EXPECT_NE(mail->parameters.find("SMTPUTF8"), std::string::npos) << mail->parameters;
  EXPECT_EQ(mail->reverse_path, "j\xC3\xBCrg@sender.test");
  ASSERT_EQ(mail->recipients.size(), 1u);
  EXPECT_TRUE(mail->recipients[0].address.starts_with("gr\xC3\xBC\xC3\x9F@")) << mail->recipients[0].address;
  EXPECT_NE(mail->content.find("Subject: \xE2\x82\xAC\r\n"), std::string::npos) << mail->content;
  EXPECT_NE(mail->content.find("with UTF8SMTP"), std::string::npos) << mail->content;
}

TEST_F(Extensions, DsnParametersArePassedOn) {
  world_.add_simple_domain("receiver.test");
  start();
  say_all({"MAIL FROM:<shop@sender.test> RET=HDRS ENVID=order+2B1",
           "RCPT TO:<bob@receiver.test> NOTIFY=FAILURE,DELAY ORCPT=rfc822;old+2Bbob@receiver.test"});
  EXPECT_EQ(client_->data(kContent).code, 250);
  const auto mail = world_.journal().wait_for_mail_to("bob@receiver.test");
  ASSERT_TRUE(mail) << relay_->transcript();
  EXPECT_NE(mail->parameters.find("RET=HDRS"), std::string::npos) << mail->parameters;
  EXPECT_NE(mail->parameters.find("ENVID=order+2B1"), std::string::npos) << mail->parameters;
  EXPECT_NE(mail->recipients[0].parameters.find("ORCPT=rfc822;old+2Bbob@receiver.test"), std::string::npos)
      << mail->recipients[0].parameters;
  EXPECT_NE(mail->recipients[0].parameters.find("NOTIFY="), std::string::npos);
}

TEST_F(Extensions, FuturereleaseIsHonouredByTheQueue) {
  world_.add_simple_domain("receiver.test");
  start();
  say_all({"MAIL FROM:<shop@sender.test> HOLDFOR=3", "RCPT TO:<later@receiver.test>"});
  const auto accepted = std::chrono::steady_clock::now();
  EXPECT_EQ(client_->data(kContent).code, 250);
  say_all({"MAIL FROM:<shop@sender.test>", "RCPT TO:<now@receiver.test>"});
  EXPECT_EQ(client_->data(kContent).code, 250);
  ASSERT_TRUE(world_.journal().wait_for_mail_to("now@receiver.test")) << relay_->transcript();
  ASSERT_TRUE(world_.journal().wait_for_mail_to("later@receiver.test", Milliseconds(30000)))
      << relay_->transcript();
  EXPECT_GE(std::chrono::steady_clock::now() - accepted, std::chrono::milliseconds(2900));
}

TEST_F(Extensions, ChunksArriveAsOneMessage) {
  world_.add_simple_domain("receiver.test");
  start();
  say_all({"MAIL FROM:<shop@sender.test>", "RCPT TO:<bob@receiver.test>"});
  const std::string head = "From: shop@sender.test\r\nSubject: chunks\r\n\r\n.first\r";
  const std::string rest = "\n.\r\nlast";
  client_->send("BDAT " + std::to_string(head.size()) + "\r\n" + head);
  EXPECT_EQ(client_->read_reply().code, 250);
  client_->send("BDAT " + std::to_string(rest.size()) + "\r\n" + rest);
  EXPECT_EQ(client_->read_reply().code, 250);
  EXPECT_EQ(say_all({"BDAT 0 LAST"}).code, 250);
  const auto mail = world_.journal().wait_for_mail_to("bob@receiver.test");
  ASSERT_TRUE(mail) << relay_->transcript();
  EXPECT_TRUE(mail->content.ends_with("\r\n\r\n.first\r\n.\r\nlast\r\n")) << mail->content;
}

TEST_F(Extensions, LimitsTellHowManyRecipientsAMessageMayHave) {
  start({{"limits.recipients_per_message", "2"}});
  SmtpClient client(relay_->trusted());
  EXPECT_TRUE(client.command("EHLO client.test").has_line("LIMITS RCPTMAX=2"));
  client.command("MAIL FROM:<shop@sender.test>");
  EXPECT_EQ(client.command("RCPT TO:<a@sender.test>").code, 250);
  EXPECT_EQ(client.command("RCPT TO:<b@sender.test>").code, 250);
  const auto third = client.command("RCPT TO:<c@sender.test>");
  EXPECT_EQ(third.code, 452);
  EXPECT_TRUE(third.text().starts_with("4.5.3 ")) << third.text();
}

TEST_F(Extensions, SizeIsToldAndKept) {
  start({{"limits.message_size", "\"64KiB\""}});
  SmtpClient client(relay_->trusted());
  EXPECT_TRUE(client.command("EHLO client.test").has_line("SIZE 65536"));
  EXPECT_EQ(client.command("MAIL FROM:<shop@sender.test> SIZE=65537").code, 552);
  EXPECT_EQ(client.command("MAIL FROM:<shop@sender.test> SIZE=65536").code, 250);
}

TEST_F(Extensions, PostmasterIsWhoTheConfigurationSays) {
  start({{"postmaster", "\"chief@sender.test\""}});
  say_all({"MAIL FROM:<>", "RCPT TO:<Postmaster>"});
  EXPECT_EQ(client_->data(kContent).code, 250);
  const auto mail = world_.journal().wait_for_mail_to("chief@sender.test");
  ASSERT_TRUE(mail) << relay_->transcript();
  EXPECT_EQ(mail->reverse_path, "");
}

}  // namespace
}  // namespace holdfast::world
