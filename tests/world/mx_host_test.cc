#include "tests/world/mx_host.h"

#include <gtest/gtest.h>

#include "tests/world/process.h"
#include "tests/world/smtp_client.h"
#include "tests/world/world.h"

namespace holdfast::world {
namespace {

constexpr const char* kContent = "Subject: hello\r\n\r\n.dots\r\n..more\r\nend\r\n";

TEST(WorldMx, TakesMailFromSmtplibOverVerifiedTls) {
  World world;
  auto& mx = world.add_simple_domain("enforce.test");
  const auto end =
      run_process({"/usr/bin/python3", "-c", R"(
import smtplib, socket, ssl, sys
host, port, ca = sys.argv[1:4]
real = socket.create_connection
context = ssl.create_default_context(cafile=ca)
smtp = smtplib.SMTP(timeout=10)
smtp.connect(host, int(port))
smtp._host = 'mx.enforce.test'  # the name that the certificate must have
smtp.starttls(context=context)
smtp.sendmail('alice@sender.test', ['bob@enforce.test'], b'Subject: hi\r\n\r\n.from smtplib\r\n', ['BODY=8BITMIME'])
smtp.quit()
)",
                   mx.endpoint().ip, std::to_string(mx.endpoint().port), world.ca_file().string()});
  ASSERT_EQ(end.code, 0) << end.err;
  const auto mail = world.journal().wait_for_mail_to("bob@enforce.test");
  ASSERT_TRUE(mail);
  EXPECT_EQ(mail->content, "Subject: hi\r\n\r\n.from smtplib\r\n");
  EXPECT_EQ(mail->reverse_path, "alice@sender.test");
  EXPECT_NE(mail->parameters.find("BODY=8BITMIME"), std::string::npos) << mail->parameters;
  EXPECT_EQ(mail->tls.version, "TLSv1.3");
  EXPECT_EQ(mail->tls.sni, "mx.enforce.test");
  EXPECT_FALSE(mail->bare_line_end);
}

TEST(WorldMx, KeepsEveryByteAsItPassedOnTheWire) {
  World world;
  auto& mx = world.add_simple_domain("enforce.test");
  SmtpClient client(mx.endpoint());
  client.command("EHLO client.test");
  ASSERT_TRUE(client.starttls());
  client.command("EHLO hidden.test");
  EXPECT_EQ(client.submit("a@sender.test", {"b@enforce.test"}, kContent).code, 250);
  EXPECT_EQ(client.command("QUIT").code, 221);
  const auto mail = world.journal().wait_for_mail_to("b@enforce.test");
  ASSERT_TRUE(mail);
  EXPECT_EQ(mail->content, kContent);
  const auto session = world.journal().wait_for_session([](const Session& s) { return s.over; });
  ASSERT_TRUE(session);
  const auto wire = session->wire->received();
  EXPECT_TRUE(wire.starts_with("EHLO client.test\r\nSTARTTLS\r\n\x16\x03")) << wire.substr(0, 40);
  EXPECT_EQ(wire.find("hidden.test"), std::string::npos);
  EXPECT_EQ(session->helo, "hidden.test");
  EXPECT_EQ(client.wire().sent(), wire);
}

TEST(WorldMx, ReactsAtEveryStageAsTold) {
  World world;
  auto& mx = world.add_simple_domain("busy.test");
  mx.on(Stage::mail, Reaction::reply("451 4.3.0 not now"), "", 1);
  mx.on(Stage::rcpt, Reaction::reply("550-5.1.1 nobody\n550 5.1.1 here"), "<ghost@");
  mx.on(Stage::end_of_data, Reaction::reply("452 4.3.1 full"), "", 1);
  SmtpClient client(mx.endpoint());
  client.command("EHLO client.test");
  EXPECT_EQ(client.command("MAIL FROM:<a@sender.test>").code, 451);
  EXPECT_EQ(client.command("MAIL FROM:<a@sender.test>").code, 250);
  EXPECT_EQ(client.command("RCPT TO:<ghost@busy.test>").text(), "5.1.1 nobody\n5.1.1 here");
  EXPECT_EQ(client.command("RCPT TO:<b@busy.test>").code, 250);
  EXPECT_EQ(client.data(kContent).code, 452);
  EXPECT_TRUE(world.journal().mails().empty());
  EXPECT_EQ(client.submit("a@sender.test", {"b@busy.test"}, kContent).code, 250);
  EXPECT_EQ(world.journal().mails().size(), 1u);
  mx.on(Stage::noop, Reaction::reply_then_drop("421 4.3.2 closing"));
  EXPECT_EQ(client.command("NOOP").code, 421);
  EXPECT_EQ(client.command("NOOP").code, 0);
}

TEST(WorldMx, DropsResetsAndRefusesConnections) {
  World world;
  auto& mx = world.add_simple_domain("dead.test");
  mx.on(Stage::connect, Reaction::drop(), "", 1);
  mx.on(Stage::connect, Reaction::reset(), "", 1);
  mx.on(Stage::connect, Reaction::reply("554 5.3.2 no service"), "", 1);
  EXPECT_EQ(SmtpClient(mx.endpoint()).greeting().code, 0);
  EXPECT_EQ(SmtpClient(mx.endpoint()).greeting().code, 0);
  SmtpClient refused(mx.endpoint());
  EXPECT_EQ(refused.greeting().code, 554);
  EXPECT_EQ(refused.command("EHLO client.test").code, 503);
  mx.stop_listening();
  EXPECT_THROW(SmtpClient{mx.endpoint()}, std::system_error);
  mx.listen_again();
  EXPECT_EQ(SmtpClient(mx.endpoint()).greeting().code, 220);
}

TEST(WorldMx, OffersWhatItsSettingsSay) {
  World world;
  MxSettings settings;
  settings.requiretls = true;
  settings.drop_extension("CHUNKING");
  auto& mx = world.add_simple_domain("picky.test", settings);
  SmtpClient client(mx.endpoint());
  auto reply = client.command("EHLO client.test");
  EXPECT_TRUE(reply.has_line("STARTTLS"));
  EXPECT_TRUE(reply.has_line("PIPELINING"));
  EXPECT_FALSE(reply.has_line("CHUNKING"));
  EXPECT_FALSE(reply.has_line("REQUIRETLS"));
  ASSERT_TRUE(client.starttls({"mx.picky.test", world.authority().root_pem(), {}}));
  reply = client.command("EHLO client.test");
  EXPECT_TRUE(reply.has_line("REQUIRETLS"));
  EXPECT_FALSE(reply.has_line("STARTTLS"));
}

TEST(WorldMx, SpeaksTheTlsVersionAndShowsTheCertificateItWasGiven) {
  World world;
  MxSettings settings;
  settings.tls.max_version = "1.2";
  auto& mx = world.add_simple_domain("old.test", settings);
  {
    SmtpClient client(mx.endpoint());
    client.command("EHLO client.test");
    ASSERT_TRUE(client.starttls({"mx.old.test", world.authority().root_pem(), {}}));
    client.command("QUIT");
  }
  const auto session = world.journal().wait_for_session([](const Session& s) { return s.over; });
  ASSERT_TRUE(session);
  EXPECT_EQ(session->tls.version, "TLSv1.2");

  CertificateSpec expired;
  expired.dns_names = {"mx.old.test"};
  expired.valid_until = std::chrono::hours(-1);
  settings.tls.identity = world.authority().issue(expired);
  mx.set(settings);
  SmtpClient client(mx.endpoint());
  client.command("EHLO client.test");
  EXPECT_FALSE(client.starttls({"mx.old.test", world.authority().root_pem(), {}}));
}

TEST(WorldMx, TakesBdatAndNotesHowTheMessageCame) {
  World world;
  auto& mx = world.add_simple_domain("chunk.test");
  SmtpClient client(mx.endpoint());
  client.command("EHLO client.test");
  client.command("MAIL FROM:<>");
  client.command("RCPT TO:<b@chunk.test>");
  EXPECT_EQ(client.command("BDAT 4\r\nab").code, 250);  // the CRLF of the line is the end of the chunk
  EXPECT_EQ(client.command("BDAT 0 LAST").code, 250);
  const auto mail = world.journal().wait_for_mail_to("b@chunk.test");
  ASSERT_TRUE(mail);
  EXPECT_TRUE(mail->by_bdat);
  EXPECT_EQ(mail->reverse_path, "");
}

TEST(WorldMx, NotesPipeliningThatWasNotOffered) {
  World world;
  MxSettings settings;
  settings.drop_extension("PIPELINING");
  auto& mx = world.add_simple_domain("slow.test", settings);
  SmtpClient client(mx.endpoint());
  client.command("EHLO client.test");
  client.send("MAIL FROM:<a@sender.test>\r\nRCPT TO:<b@slow.test>\r\n");
  client.read_reply();
  client.read_reply();
  EXPECT_TRUE(world.journal().sessions("mx.slow.test").front().pipelined_unasked);
}

}  // namespace
}  // namespace holdfast::world
