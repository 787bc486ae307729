// A stop while the client is in the middle of something.
#include <gtest/gtest.h>

#include "tests/smtp/server/session_harness.h"

namespace holdfast {
namespace {

TEST(Shutdown, CutsAHandshakeAtOnce) {
  SessionHarness client(kSubmission);
  client.says("EHLO x");
  EXPECT_EQ(client.codes("STARTTLS"), "220");
  client.session->request_stop();
  client.settle();
  EXPECT_TRUE(client.session_ended());
}

TEST(Shutdown, CutsTheHandshakeOfImplicitTlsAtOnce) {
  SessionHarness client({.mode = ListenerMode::submissions, .handshakes = false});
  client.session->request_stop();
  client.settle();
  EXPECT_TRUE(client.session_ended());
}

TEST(Shutdown, CutsTheDelayAfterAFailedLoginAtOnce) {
  SessionHarness client(kSubmission);
  client.says("EHLO x");
  ASSERT_TRUE(client.starts_tls());
  client.says("EHLO x");
  EXPECT_EQ(client.says("AUTH PLAIN AGFwcAB3cm9uZw=="), "");
  client.session->request_stop();
  client.settle();
  EXPECT_TRUE(client.session_ended());
}

TEST(Shutdown, BeginsNoMessageThatWasPipelinedBehindTheLast) {
  SessionHarness client;
  client.logs_in();
  EXPECT_EQ(client.codes("MAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA"), "250 250 354");
  client.session->request_stop();
  EXPECT_EQ(client.codes("x\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA"), "250 421");
  client.settle();
  EXPECT_TRUE(client.session_ended());
  EXPECT_EQ(client.sink.messages.size(), 1U);
}

// The lookup of the user is not one of the waits in which a stop can be told.
TEST(Shutdown, StoresNothingOfAClientThatItCutsOffAtMail) {
  SessionHarness client(kSubmission);
  client.logs_in();
  client.users.clock = &client.clock;
  client.users.is_looked_up = std::chrono::seconds(1);
  client.sends("MAIL FROM:<app@example.com>\r\nRCPT TO:<a@b.example>\r\nBDAT 3 LAST\r\nx\r\n");
  client.session->request_stop();
  client.settle();
  EXPECT_TRUE(client.session_ended());
  EXPECT_TRUE(client.sink.messages.empty()) << "its 250 would have reached nobody";
}

TEST(Shutdown, DoesNotWaitForAClientThatReadsNothing) {
  SessionHarness client({.stream_capacity = 16});
  client.stops_reading();
  client.says("NOOP\r\nNOOP\r\nNOOP");
  client.session->request_stop();
  client.settle();
  EXPECT_TRUE(client.session_ended());
}

TEST(Shutdown, TellsTheLastClientThatItsMessageWasTaken) {
  SessionHarness client({.stream_capacity = 16});
  client.logs_in();
  client.says("MAIL FROM:<>");
  client.says("RCPT TO:<a@b.example>");
  client.says("DATA");
  client.stops_reading();
  client.sends("x\r\n.\r\n");
  client.session->request_stop();
  client.settle();
  ASSERT_EQ(client.sink.messages.size(), 1U);
  client.reads_again();
  EXPECT_EQ(client.received().substr(0, 4), "250 ");
}

}  // namespace
}  // namespace holdfast
