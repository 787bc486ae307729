// Mail on its ordinary way: from clients that we did not write, to MX hosts of every ordinary kind.
#include "tests/end_to_end/end_to_end.h"

namespace holdfast::world {
namespace {

class Delivery : public EndToEnd {};

TEST_F(Delivery, SubmitsWithAPasswordAndDeliversUnderEnforceOverVerifiedTls) {
  auto& mx = world_.add_simple_domain("enforce.test");
  world_.publish_policy("enforce.test", "enforce", {"mx.enforce.test"});
  start();
  const auto reply = submit({"bob@enforce.test"});
  EXPECT_NE(reply.text().find("queued as "), std::string::npos) << reply.text();

  const auto mail = world_.journal().wait_for_mail_to("bob@enforce.test");
  ASSERT_TRUE(mail) << relay_->transcript();
  EXPECT_EQ(mail->reverse_path, "shop@sender.test");
  EXPECT_EQ(mail->tls.version, "TLSv1.3");
  EXPECT_EQ(mail->tls.sni, "mx.enforce.test");
  EXPECT_EQ(mail->helo, "relay.test");
  EXPECT_FALSE(mail->bare_line_end);
  EXPECT_TRUE(mail->content.ends_with(canary_message().substr(canary_message().find("\r\n\r\n"))));
  EXPECT_TRUE(mail->content.starts_with("Received: ")) << mail->content;
  EXPECT_NE(mail->content.find("\r\nMessage-ID: "), std::string::npos) << mail->content;
  EXPECT_NE(mail->content.find("\r\nDate: "), std::string::npos) << mail->content;

  const auto line = wait_for_end("bob@enforce.test", "delivered");
  ASSERT_TRUE(line);
  EXPECT_EQ((*line)["mx"], "mx.enforce.test");
  EXPECT_EQ((*line)["tls.version"], "TLSv1.3");
  EXPECT_EQ((*line)["tls.mode"], "enforce");
  EXPECT_TRUE(queue_is_empty());
  expect_nothing_leaked(world_.journal().wire_bytes(mx.name()), "bob@enforce.test");
  EXPECT_EQ(wait_for_counts("enforce.test", {{"sts", 1, 0, {}}}), (std::vector<Counted>{{"sts", 1, 0, {}}}));

  const auto cached = relay_->run_json({"sts", "show"});
  ASSERT_EQ(cached.size(), 1u);
  EXPECT_EQ(cached[0]["domain"], "enforce.test");
  EXPECT_EQ(cached[0]["mode"], "enforce");
  EXPECT_EQ(cached[0]["mx.0"], "mx.enforce.test");
}

TEST_F(Delivery, TakesMailFromSmtplib) {
  world_.add_simple_domain("plain.test");
  start();
  const auto end = run_process({"/usr/bin/python3", "-c", R"(
import smtplib, ssl, sys
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
with smtplib.SMTP(sys.argv[1], int(sys.argv[2]), timeout=20) as smtp:
    smtp.starttls(context=context)
    smtp.login(sys.argv[3], sys.argv[4])
    refused = smtp.sendmail('shop@sender.test', ['a@plain.test', 'b@plain.test'],
                            b'From: shop@sender.test\r\nSubject: hi\r\n\r\n.dot\r\n' + b'x' * 900 + b'\r\n')
    assert refused == {}, refused
)",
                                relay_->submission().ip, std::to_string(relay_->submission().port),
                                Relay::kUser, Relay::kPassword});
  ASSERT_EQ(end.code, 0) << end.err << relay_->transcript();
  const auto mail = world_.journal().wait_for_mail_to("a@plain.test");
  ASSERT_TRUE(mail) << relay_->transcript();
  EXPECT_TRUE(mail->is_to("b@plain.test"));  // one transaction for both
  EXPECT_TRUE(mail->content.ends_with("\r\n\r\n.dot\r\n" + std::string(900, 'x') + "\r\n"));
  EXPECT_TRUE(queue_is_empty());
}

TEST_F(Delivery, TakesMailFromSwaks) {
  if (run_process({"swaks", "--version"}).code != 0) GTEST_SKIP() << "swaks is not installed";
  world_.add_simple_domain("plain.test");
  start();
  for (const char* mechanism : {"PLAIN", "LOGIN"}) {
    const auto to = std::string(mechanism) + "@plain.test";
    const auto end = run_process({"swaks", "--server", relay_->submission().ip, "--port",
                                  std::to_string(relay_->submission().port), "-tls", "-a", mechanism, "-au",
                                  Relay::kUser, "-ap", Relay::kPassword, "-f", "shop@sender.test", "-t", to});
    if (end.out.find("Net::SSLeay") != std::string::npos)
      GTEST_SKIP() << "libnet-ssleay-perl is not installed";
    ASSERT_EQ(end.code, 0) << end.out << end.err;
    EXPECT_TRUE(world_.journal().wait_for_mail_to(to)) << relay_->transcript();
  }
}

TEST_F(Delivery, TakesMailFromATrustedNetworkWithoutAPassword) {
  world_.add_simple_domain("plain.test");
  start();
  SmtpClient client(relay_->trusted());
  client.command("EHLO client.test");
  EXPECT_EQ(client.submit("shop@sender.test", {"bob@plain.test"}, canary_message()).code, 250);
  EXPECT_TRUE(world_.journal().wait_for_mail_to("bob@plain.test")) << relay_->transcript();
}

TEST_F(Delivery, UsesTlsWithAnyCertificateWhereNoPolicySpeaks) {
  MxSettings settings;
  settings.tls.identity = self_signed({});
  world_.add_simple_domain("plain.test", settings);
  start();
  submit({"bob@plain.test"});
  const auto mail = world_.journal().wait_for_mail_to("bob@plain.test");
  ASSERT_TRUE(mail) << relay_->transcript();
  EXPECT_TRUE(mail->tls.on);
  EXPECT_EQ(wait_for_counts("plain.test", {{"no-policy-found", 1, 0, {}}}),
            (std::vector<Counted>{{"no-policy-found", 1, 0, {}}}));
}

TEST_F(Delivery, GoesInClearWhereNoPolicySpeaksAndTheMxHasNoTls) {
  MxSettings settings;
  settings.starttls = false;
  world_.add_simple_domain("clear.test", settings);
  start();
  submit({"bob@clear.test"});
  const auto mail = world_.journal().wait_for_mail_to("bob@clear.test");
  ASSERT_TRUE(mail) << relay_->transcript();
  EXPECT_FALSE(mail->tls.on);
}

TEST_F(Delivery, GoesInClearWhereNoPolicySpeaksAndTheHandshakeFails) {
  auto& mx = world_.add_simple_domain("broken.test");
  mx.on(Stage::handshake, Reaction::drop());
  start();
  submit({"bob@broken.test"});
  const auto mail = world_.journal().wait_for_mail_to("bob@broken.test");
  ASSERT_TRUE(mail) << relay_->transcript();
  EXPECT_FALSE(mail->tls.on);
}

TEST_F(Delivery, TellsTheSenderOfAPermanentFailure) {
  auto& mx = world_.add_simple_domain("refusing.test");
  mx.on(Stage::rcpt, Reaction::reply("550-5.1.1 nobody\n550 5.1.1 of that name"), "<ghost@");
  start();
  submit({"ghost@refusing.test", "bob@refusing.test"});
  EXPECT_TRUE(world_.journal().wait_for_mail_to("bob@refusing.test")) << relay_->transcript();
  const auto bounce = world_.journal().wait_for_mail_to("shop@sender.test");
  ASSERT_TRUE(bounce) << relay_->transcript();
  EXPECT_EQ(bounce->reverse_path, "");
  for (const char* part :
       {"multipart/report", "message/delivery-status", "Final-Recipient: rfc822;", "Action: failed",
        "Status: 5.1.1", "mx.refusing.test", "of that name", kSubjectCanary}) {
    EXPECT_NE(bounce->content.find(part), std::string::npos) << part << " is missing in\n" << bounce->content;
  }
  EXPECT_EQ(bounce->content.find("bob@refusing.test\r\nAction"), std::string::npos);
  const auto line = wait_for_end("ghost@refusing.test", "bounced");
  ASSERT_TRUE(line);
  EXPECT_EQ((*line)["enhanced"], "5.1.1");
  EXPECT_TRUE(queue_is_empty());
}

TEST_F(Delivery, TriesAgainAfterATemporaryRefusal) {
  auto& mx = world_.add_simple_domain("busy.test");
  mx.on(Stage::rcpt, Reaction::reply("450 4.2.0 greylisted"), "", 1);
  start();
  submit({"bob@busy.test"});
  const auto line = wait_for_end("bob@busy.test", "deferred");
  ASSERT_TRUE(line);
  EXPECT_EQ((*line)["code"], "450");
  EXPECT_NE((*line)["reply"].find("greylisted"), std::string::npos);
  EXPECT_TRUE(world_.journal().wait_for_mail_to("bob@busy.test")) << relay_->transcript();
  EXPECT_TRUE(queue_is_empty());
  EXPECT_EQ(world_.journal().mails().size(), 1u);
}

TEST_F(Delivery, WaitsForAnMxThatIsDownAndForAResolverThatFails) {
  auto& down = world_.add_simple_domain("down.test");
  down.stop_listening();
  world_.add_simple_domain("lost.test");
  world_.dns().set_fault("lost.test", "MX", DnsFault::servfail);
  start();
  submit({"bob@down.test"});
  submit({"bob@lost.test"});
  const auto refused = wait_for_end("bob@down.test", "deferred");
  ASSERT_TRUE(refused);
  EXPECT_NE((*refused)["reply"], "");
  EXPECT_TRUE(wait_for_end("bob@lost.test", "deferred"));
  for (const char* to : {"bob@down.test", "bob@lost.test"}) {
    const auto waiting = wait_for_listed(to, "deferred");
    ASSERT_TRUE(waiting) << to;
    EXPECT_NE((*waiting)["reason"], "") << waiting->text();
  }
  down.listen_again();
  world_.dns().set_fault("lost.test", "MX", DnsFault::none);
  EXPECT_TRUE(world_.journal().wait_for_mail_to("bob@down.test", Milliseconds(60000)))
      << relay_->transcript();
  EXPECT_TRUE(world_.journal().wait_for_mail_to("bob@lost.test", Milliseconds(60000)))
      << relay_->transcript();
}

TEST_F(Delivery, GoesToTheNextMxWhenTheFirstIsDown) {
  world_.add_mx("mx1.two.test").stop_listening();
  world_.add_mx("mx2.two.test");
  world_.add_domain("two.test", {"mx1.two.test", "mx2.two.test"});
  start();
  submit({"bob@two.test"});
  const auto mail = world_.journal().wait_for_mail_to("bob@two.test");
  ASSERT_TRUE(mail) << relay_->transcript();
  EXPECT_EQ(mail->mx, "mx2.two.test");
}

TEST_F(Delivery, BouncesAtOnceWhereADomainTakesNoMail) {
  world_.dns().add("nomail.test", "MX", "0 .");
  start();
  submit({"bob@nomail.test"});
  const auto bounce = world_.journal().wait_for_mail_to("shop@sender.test");
  ASSERT_TRUE(bounce) << relay_->transcript();
  EXPECT_NE(bounce->content.find("Status: 5.1.10"), std::string::npos) << bounce->content;
}

TEST_F(Delivery, CarriesALargeMessageWhole) {
  world_.add_simple_domain("plain.test");
  start();
  std::string content = "From: shop@sender.test\r\nSubject: large\r\n\r\n";
  for (int i = 0; i < 60000; ++i)
    content += ". line " + std::to_string(i) + " of a message above the inline limit\r\n";
  submit({"bob@plain.test"}, content);
  const auto mail = world_.journal().wait_for_mail_to("bob@plain.test", Milliseconds(60000));
  ASSERT_TRUE(mail) << relay_->transcript();
  EXPECT_TRUE(mail->content.ends_with(content.substr(content.find("\r\n\r\n"))));
  EXPECT_FALSE(mail->bare_line_end);
}

}  // namespace
}  // namespace holdfast::world
