// Transcripts: every extension, every command and its refusals. Limits are in session_limits_test.cc.
#include <gtest/gtest.h>

#include "smtp/wire/base64.h"
#include "tests/smtp/server/session_harness.h"

namespace holdfast {
namespace {

bool offers(const std::string& ehlo, std::string_view extension) {
  return ehlo.find("250-" + std::string(extension) + "\r\n") != std::string::npos ||
         ehlo.find("250 " + std::string(extension) + "\r\n") != std::string::npos;
}

TEST(Ehlo, OffersStarttlsAndNoAuthInClear) {
  SessionHarness client(kSubmission);
  const std::string ehlo = client.says("EHLO client.example");
  for (const char* extension :
       {"PIPELINING", "SIZE 100000", "8BITMIME", "SMTPUTF8", "CHUNKING", "DSN", "ENHANCEDSTATUSCODES",
        "STARTTLS", "LIMITS RCPTMAX=5", "FUTURERELEASE 2592000 2026-03-31T00:00:00Z"}) {
    EXPECT_TRUE(offers(ehlo, extension)) << extension << " in " << ehlo;
  }
  EXPECT_EQ(ehlo.find("AUTH"), std::string::npos);
  EXPECT_EQ(ehlo.find("REQUIRETLS"), std::string::npos);
  EXPECT_NE(ehlo.find("250-relay.example.com greets client.example\r\n"), std::string::npos);
}

TEST(Ehlo, OffersAuthAndRequiretlsUnderTls) {
  SessionHarness client(kSubmission);
  client.says("EHLO client.example");
  ASSERT_TRUE(client.starts_tls());
  const std::string ehlo = client.says("EHLO client.example");
  EXPECT_TRUE(offers(ehlo, "AUTH PLAIN LOGIN")) << ehlo;
  EXPECT_TRUE(offers(ehlo, "REQUIRETLS"));
  EXPECT_FALSE(offers(ehlo, "STARTTLS"));
}

TEST(Ehlo, OffersNoStarttlsWithoutACertificate) {
  SessionHarness client({.mode = ListenerMode::submission, .with_certificate = false});
  EXPECT_FALSE(offers(client.says("EHLO client.example"), "STARTTLS"));
  EXPECT_EQ(client.codes("STARTTLS"), "454");
}

TEST(Ehlo, OffersNoAuthWhereTheNetworkIsTrusted) {
  SessionHarness client;
  client.says("EHLO client.example");
  ASSERT_TRUE(client.starts_tls());
  EXPECT_EQ(client.says("EHLO client.example").find("AUTH"), std::string::npos);
}

TEST(Helo, OffersNothing) {
  SessionHarness client;
  client.received();
  EXPECT_EQ(client.says("HELO client.example"), "250 relay.example.com greets client.example\r\n");
}

TEST(TrustedListener, TurnsOthersAway) {
  SessionHarness client({.from_trusted_network = false});
  const std::string text = client.received();
  EXPECT_EQ(
      text,
      "554 5.7.1 This port takes mail from trusted networks only, and 127.0.0.1 is in none of them\r\n");
  EXPECT_TRUE(client.closed());
  EXPECT_EQ(client.metrics.count("submission_rejections_total{reason=untrusted}"), 1U);
}

TEST(Transaction, CarriesTheEnvelopeIntoTheQueue) {
  SessionHarness client(kSubmission);
  client.logs_in();
  EXPECT_EQ(client.says("MAIL FROM:<app@example.com> SIZE=20 BODY=8BITMIME RET=HDRS ENVID=id+2B1"),
            "250 2.1.0 Sender ok\r\n");
  EXPECT_EQ(client.says("RCPT TO:<a@b.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x@b.example"),
            "250 2.1.5 Recipient ok\r\n");
  EXPECT_EQ(client.says("RCPT TO:<c@d.example>"), "250 2.1.5 Recipient ok\r\n");
  EXPECT_EQ(client.says("DATA"), "354 Send the message, end it with a dot on a line of its own\r\n");
  EXPECT_EQ(client.says("Subject: x\r\n\r\n..dot\r\n."),
            "250 2.0.0 Ok: queued as 00000000000000000000000001\r\n");
  ASSERT_EQ(client.sink.messages.size(), 1U);
  const auto& [envelope, body] = client.sink.messages[0];
  EXPECT_EQ(body, "Subject: x\r\n\r\n.dot\r\n");
  EXPECT_EQ(envelope.origin, "submission");
  EXPECT_EQ(envelope.reverse_path.text(), "app@example.com");
  ASSERT_EQ(envelope.recipients.size(), 2U);
  EXPECT_EQ(envelope.recipients[0].address.text(), "a@b.example");
  EXPECT_EQ(envelope.recipients[0].dsn.notify, kNotifySuccess | kNotifyDelay);
  EXPECT_EQ(envelope.recipients[0].dsn.original_recipient, "rfc822;x@b.example");
  EXPECT_EQ(envelope.envelope_id, "id+2B1");
  EXPECT_EQ(envelope.dsn_return, DsnReturn::headers);
  EXPECT_EQ(envelope.body, BodyType::eight_bit);
  EXPECT_EQ(envelope.declared_size, 20U);
  EXPECT_EQ(envelope.user, "app");
  EXPECT_EQ(envelope.senders, std::vector<std::string>{"@example.com"});
  EXPECT_FALSE(envelope.trusted_client);
  EXPECT_EQ(envelope.trace.helo, "client.example");
  EXPECT_EQ(envelope.trace.client_ip, "127.0.0.1");
  EXPECT_EQ(envelope.trace.protocol, "ESMTPSA");
  EXPECT_TRUE(envelope.trace.tls.starts_with("TLSv1.3 TLS_")) << envelope.trace.tls;
  EXPECT_EQ(envelope.trace.listener, "[::]:587");
}

TEST(Transaction, LeavesTheSessionReadyForTheNext) {
  SessionHarness client;
  client.logs_in();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(client.codes("MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA"), "250 250 354");
    EXPECT_EQ(client.codes("x\r\n."), "250");
  }
  EXPECT_EQ(client.sink.messages.size(), 3U);
}

TEST(Transaction, ComesFromATrustedNetworkWithoutAUser) {
  SessionHarness client;
  client.says("HELO client");
  EXPECT_EQ(client.codes("MAIL FROM:<anyone@else.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nx\r\n."),
            "250 250 354 250");
  ASSERT_EQ(client.sink.messages.size(), 1U);
  EXPECT_TRUE(client.sink.messages[0].envelope.trusted_client);
  EXPECT_EQ(client.sink.messages[0].envelope.trace.protocol, "SMTP");
  EXPECT_EQ(client.sink.messages[0].envelope.user, "");
}

TEST(Mail, IsRefusedBeforeTlsAndAuth) {
  SessionHarness client(kSubmission);
  client.received();
  EXPECT_EQ(client.says("MAIL FROM:<app@example.com>"), "503 5.5.1 Say EHLO first\r\n");
  client.says("EHLO x");
  EXPECT_EQ(client.says("MAIL FROM:<app@example.com>"),
            "530 5.7.0 Say STARTTLS first, then log in by AUTH\r\n");
  ASSERT_TRUE(client.starts_tls());
  EXPECT_EQ(client.says("MAIL FROM:<app@example.com>"), "503 5.5.1 Say EHLO first\r\n");
  client.says("EHLO x");
  EXPECT_EQ(client.says("MAIL FROM:<app@example.com>"), "530 5.7.0 Log in by AUTH first\r\n");
}

TEST(Mail, TakesOnlyTheUsersSendersAndTheNullPath) {
  SessionHarness client(kSubmission);
  client.logs_in();
  EXPECT_EQ(client.says("MAIL FROM:<boss@other.example>"),
            "550 5.7.1 User app may not send as <boss@other.example>; use an address among the user's "
            "`senders`, or have "
            "it added there\r\n");
  EXPECT_EQ(client.metrics.count("submission_rejections_total{reason=sender}"), 1U);
  EXPECT_EQ(client.codes("MAIL FROM:<>"), "250");
  EXPECT_EQ(client.codes("RSET"), "250");
  EXPECT_EQ(client.codes("MAIL FROM:<Other@EXAMPLE.com>"), "250");
}

TEST(Mail, OfAUserWithoutSendersMayOnlyBeNull) {
  SessionHarness client(kSubmission);
  client.users.identity.senders.clear();
  client.logs_in();
  EXPECT_EQ(client.codes("MAIL FROM:<app@example.com>"), "550");
  EXPECT_EQ(client.codes("MAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\nx\r\n."), "250 250 354 250");
  ASSERT_EQ(client.sink.messages.size(), 1U);
  EXPECT_FALSE(client.sink.messages[0].envelope.senders.empty());
  EXPECT_FALSE(may_send_as(client.sink.messages[0].envelope.senders, "app@example.com"));
}

TEST(Mail, IsAskedOfTheQueueWithItsSize) {
  SessionHarness client;
  client.logs_in();
  client.sink.busy = make_reply(452, "4.3.1 Not enough space");
  EXPECT_EQ(client.says("MAIL FROM:<a@b.example> SIZE=500"), "452 4.3.1 Not enough space\r\n");
  EXPECT_EQ(client.sink.admitted, std::vector<std::uint64_t>{500});
  EXPECT_EQ(client.codes("RCPT TO:<a@b.example>"), "503");
}

TEST(Mail, SaysHowLargeAMessageMayBe) {
  SessionHarness client;
  client.logs_in();
  EXPECT_EQ(client.says("MAIL FROM:<a@b.example> SIZE=100001"),
            "552 5.3.4 The message is larger than 100000 octets\r\n");
  EXPECT_EQ(client.codes("MAIL FROM:<a@b.example> SIZE=100000"), "250");
}

TEST(Mail, WithRequiretlsNeedsTls) {
  SessionHarness client;
  client.logs_in();
  EXPECT_EQ(client.says("MAIL FROM:<a@b.example> REQUIRETLS"),
            "530 5.7.10 REQUIRETLS can only be asked for under TLS; say STARTTLS first\r\n");
  ASSERT_TRUE(client.starts_tls());
  client.says("EHLO x");
  EXPECT_EQ(client.codes("MAIL FROM:<a@b.example> REQUIRETLS\r\nRCPT TO:<c@d.example>\r\nDATA\r\nx\r\n."),
            "250 250 354 250");
  ASSERT_EQ(client.sink.messages.size(), 1U);
  EXPECT_TRUE(client.sink.messages[0].envelope.tls.requiretls);
}

TEST(Mail, IsHeldAsAsked) {
  SessionHarness client;
  client.logs_in();
  EXPECT_EQ(client.codes("MAIL FROM:<a@b.example> HOLDFOR=3600\r\nRCPT TO:<c@d.example>\r\nDATA\r\nx\r\n."),
            "250 250 354 250");
  EXPECT_EQ(client.codes("MAIL FROM:<a@b.example> HOLDUNTIL=2026-03-02T00:00:00Z\r\nRCPT "
                         "TO:<c@d.example>\r\nDATA\r\nx\r\n."),
            "250 250 354 250");
  EXPECT_EQ(client.codes("MAIL FROM:<a@b.example> HOLDUNTIL=2020-03-02T00:00:00Z\r\nRCPT "
                         "TO:<c@d.example>\r\nDATA\r\nx\r\n."),
            "250 250 354 250");
  ASSERT_EQ(client.sink.messages.size(), 3U);
  const auto now = client.clock.wall();
  EXPECT_EQ(client.sink.messages[0].envelope.release, now + std::chrono::hours(1));
  EXPECT_EQ(client.sink.messages[0].envelope.expires, now + std::chrono::hours(121));
  EXPECT_EQ(client.sink.messages[1].envelope.release, now + std::chrono::hours(24));
  EXPECT_EQ(client.sink.messages[2].envelope.release, std::nullopt);
  EXPECT_EQ(client.sink.messages[2].envelope.expires, std::nullopt);
  EXPECT_EQ(client.codes("MAIL FROM:<a@b.example> HOLDFOR=2592001"), "501");
  EXPECT_EQ(client.codes("MAIL FROM:<a@b.example> HOLDUNTIL=2026-04-02T00:00:00Z"), "501");
}

TEST(Smtputf8, IsNeededForAddressesOutsideAscii) {
  SessionHarness client;
  client.logs_in();
  EXPECT_EQ(client.codes("MAIL FROM:<\xC3\xBC@b.example>"), "553");
  EXPECT_EQ(client.codes("MAIL FROM:<a@b.example>\r\nRCPT TO:<\xC3\xBC@b.example>\r\nRSET"), "250 553 250");
  EXPECT_EQ(client.codes("MAIL FROM:<\xC3\xBC@b.example> SMTPUTF8\r\nRCPT "
                         "TO:<\xC3\xBC@b\xC3\xBC\x63her.example>\r\nDATA\r\nx\r\n."),
            "250 250 354 250");
  ASSERT_EQ(client.sink.messages.size(), 1U);
  EXPECT_TRUE(client.sink.messages[0].envelope.smtputf8);
  EXPECT_EQ(client.sink.messages[0].envelope.recipients[0].address.domain(), "xn--bcher-kva.example");
  EXPECT_EQ(client.sink.messages[0].envelope.trace.protocol, "UTF8SMTP");
}

TEST(Rcpt, SendsPostmasterToTheConfiguredAddress) {
  SessionHarness client;
  client.logs_in();
  EXPECT_EQ(client.codes("MAIL FROM:<>\r\nRCPT TO:<Postmaster>\r\nDATA\r\nx\r\n."), "250 250 354 250");
  ASSERT_EQ(client.sink.messages.size(), 1U);
  EXPECT_EQ(client.sink.messages[0].envelope.recipients[0].address.text(), "postmaster@example.com");
}

TEST(Rcpt, CannotSendToAPostmasterThatIsNotThere) {
  SessionHarness client({.postmaster = ""});
  client.logs_in();
  EXPECT_EQ(client.codes("MAIL FROM:<>"), "250");
  EXPECT_EQ(client.says("RCPT TO:<postmaster>"),
            "550 5.1.1 No postmaster is configured here; write the full address\r\n");
  EXPECT_EQ(client.codes("RCPT TO:<a@b.example>\r\nDATA"), "250 354");
}

TEST(Rcpt, CountsRecipientsAndTakesEachOnce) {
  SessionHarness client;
  client.logs_in();
  client.says("MAIL FROM:<>");
  EXPECT_EQ(client.says("RCPT TO:<a@b.example>\r\nRCPT TO:<a@B.example>"),
            "250 2.1.5 Recipient ok\r\n250 2.1.5 Recipient given twice, takes one copy\r\n");
  for (int i = 0; i < 4; ++i)
    EXPECT_EQ(client.codes("RCPT TO:<r" + std::to_string(i) + "@b.example>"), "250");
  EXPECT_EQ(client.says("RCPT TO:<z@b.example>"),
            "452 4.5.3 No more than 5 recipients per message; send to the others in another one\r\n");
  EXPECT_EQ(client.codes("DATA\r\nx\r\n."), "354 250");
  EXPECT_EQ(client.sink.messages[0].envelope.recipients.size(), 5U);
}

TEST(SmallCommands, AreAnswered) {
  SessionHarness client;
  client.received();
  EXPECT_EQ(client.says("NOOP"), "250 2.0.0 Ok\r\n");
  EXPECT_EQ(client.codes("VRFY user"), "252");
  EXPECT_EQ(client.codes("EXPN list"), "502");
  EXPECT_EQ(client.codes("HELP"), "214");
  EXPECT_EQ(client.says("WHAT"), "500 5.5.2 Command not recognised\r\n");
}

// RFC 2034: every reply but the greeting, those to EHLO and HELO, and 3xx.
TEST(EnhancedStatusCodes, StandInEveryReply) {
  SessionHarness client(kSubmission);
  client.received();
  std::string all;
  for (const char* line : {"NOOP", "WHAT", "RSET", "VRFY x", "EXPN x", "HELP", "MAIL FROM:<a@example.com>",
                           "RCPT TO:<a@b.example>", "DATA", "BDAT 0", "AUTH PLAIN", "MAIL", "RCPT TO:x",
                           "EHLO", "RSET x", "MAIL FROM:<> FOO", "QUIT"}) {
    all += client.says(line);
  }
  while (!all.empty()) {
    const std::string line = all.substr(0, all.find("\r\n"));
    all.erase(0, line.size() + 2);
    EXPECT_TRUE(make_reply((line[0] - '0') * 100, line.substr(4)).enhanced()) << line;
  }
}

TEST(Pipelining, AnswersABatchWithOneWrite) {
  SessionHarness client;
  client.logs_in();
  const std::size_t before = client.writes();
  EXPECT_EQ(client.codes("MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nRCPT TO:<bad>\r\nRCPT "
                         "TO:<e@f.example>\r\nDATA"),
            "250 250 501 250 354");
  EXPECT_EQ(client.writes() - before, 1U);
}

TEST(Pipelining, GoesOnBehindTheEndOfAMessage) {
  SessionHarness client;
  client.logs_in();
  EXPECT_EQ(client.codes("MAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\nDATA\r\none\r\n.\r\n"
                         "MAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\nDATA\r\ntwo\r\n.\r\nQUIT"),
            "250 250 354 250 250 250 354 250 221");
  ASSERT_EQ(client.sink.messages.size(), 2U);
  EXPECT_EQ(client.sink.messages[0].body, "one\r\n");
  EXPECT_EQ(client.sink.messages[1].body, "two\r\n");
}

TEST(Session, WorksOctetByOctet) {
  SessionHarness client;
  client.received();
  std::string all;
  for (char c :
       std::string("EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n..x\r\n.y\r\n.\r\n"
                   "MAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\nBDAT 4\r\na\r\nbBDAT 2 LAST\r\n\r\nQUIT\r\n")) {
    all += client.sends(std::string(1, c));
  }
  EXPECT_EQ(codes_of(all), "250 250 250 354 250 250 250 250 250 221");
  ASSERT_EQ(client.sink.messages.size(), 2U);
  EXPECT_EQ(client.sink.messages[0].body, ".x\r\ny\r\n");
  EXPECT_EQ(client.sink.messages[1].body, "a\r\nb\r\n");
}

}  // namespace
}  // namespace holdfast
