// Transcripts: what a client may not do, too much or too long, and how a session ends.
#include <gtest/gtest.h>

#include "tests/smtp/server/session_harness.h"

namespace holdfast {
namespace {

TEST(CommandLine, MayNotBeTooLong) {
  SessionHarness client;
  client.logs_in();
  EXPECT_EQ(client.says("NOOP " + std::string(2100, 'x')),
            "500 5.5.2 Command line longer than 2046 octets\r\n");
  EXPECT_EQ(client.codes(std::string(20000, 'x')), "500");
  EXPECT_EQ(client.codes("NOOP"), "250");
}

TEST(CommandLine, WithABareLineEndOrNulEndsTheTransaction) {
  for (const std::string& bad :
       {std::string("NOOP\nNOOP"), std::string("NO\rOP"), std::string("NO\0OP", 5)}) {
    SessionHarness client;
    client.logs_in();
    EXPECT_EQ(client.codes("MAIL FROM:<>\r\nRCPT TO:<a@b.example>"), "250 250");
    EXPECT_EQ(client.codes(bad), "500");
    EXPECT_EQ(client.codes("DATA"), "503");
  }
}

TEST(Errors, EndTheSessionWhenTheyAreTooMany) {
  SessionHarness client(kSubmission);
  client.received();
  std::string all;
  for (int i = 0; i < 20; ++i) all += client.says("WHAT");
  EXPECT_TRUE(all.ends_with("421 4.7.0 Too many errors; check the client and connect again\r\n"));
  EXPECT_TRUE(client.closed());
}

TEST(Errors, OfAPipeliningClientAfterARefusedMailDoNotEndIt) {
  SessionHarness client(kSubmission);
  client.logs_in();
  std::string batch = "MAIL FROM:<other@other.example>\r\n";
  for (int i = 0; i < 300; ++i) batch += "RCPT TO:<a@b.example>\r\n";
  client.sends(batch);
  EXPECT_EQ(client.codes("NOOP"), "250");
}

TEST(Http, IsSentAway) {
  SessionHarness client;
  client.received();
  EXPECT_EQ(client.says("POST / HTTP/1.1\r\nHost: x\r\n\r\nHELO x\r\nMAIL FROM:<>"),
            "421 4.7.0 This is a mail server, not a web server\r\n");
  EXPECT_TRUE(client.closed());
}

TEST(Refusals, AreLogged) {
  SessionHarness client(kSubmission);
  client.logs_in();
  client.says("MAIL FROM:<boss@other.example>");
  const auto events = client.log.events("rejected");
  ASSERT_EQ(events.size(), 1U);
  for (const char* part : {"\"ip\":\"127.0.0.1\"", "\"user\":\"app\"", "\"code\":550",
                           "\"enhanced\":\"5.7.1\"", "\"reason\":\"sender\""}) {
    EXPECT_NE(events[0].fields.find(part), std::string::npos) << part << " in " << events[0].fields;
  }
}

TEST(Quota, IsTakenOnceTheRecipientsAreKnown) {
  SessionHarness client(kSubmission);
  client.users.identity.messages = Rate{10, std::chrono::hours(1)};
  client.users.identity.recipients = Rate{100, std::chrono::hours(1)};
  client.logs_in();
  EXPECT_EQ(client.codes("MAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nx\r\n."),
            "250 250 250 354 250");
  EXPECT_EQ(client.quota.taken, (std::vector<std::string>{"user/app/messages 1", "user/app/recipients 2"}));
  client.quota.taken.clear();
  client.quota.empty = "user/app/messages";
  client.says("MAIL FROM:<>\r\nRCPT TO:<a@b.example>");
  EXPECT_EQ(client.says("DATA"),
            "450 4.7.1 User app has sent too many messages for now; try again later\r\n");
  EXPECT_EQ(client.quota.taken, std::vector<std::string>{"user/app/messages 1"})
      << "no recipients for nothing";
  client.quota.empty = "user/app/recipients";
  EXPECT_EQ(client.says("DATA"),
            "450 4.7.1 User app has sent too many recipients for now; try again later\r\n");
  client.quota.broken = true;
  EXPECT_EQ(client.codes("DATA"), "451");
  client.quota.broken = false;
  client.quota.empty.clear();
  EXPECT_EQ(client.codes("DATA\r\nx\r\n."), "354 250");
}

TEST(Volume, IsToldOnceWhenItIsUnusual) {
  SessionHarness client({.mode = ListenerMode::submission, .unusual_volume = 5});
  client.logs_in();
  std::string message = "MAIL FROM:<>\r\n";
  for (const char* name : {"a", "b", "c", "d", "e"})
    message += std::string("RCPT TO:<") + name + "@b.example>\r\n";
  message += "DATA\r\nx\r\n.";
  for (int i = 0; i < 20; ++i) client.says(message);
  EXPECT_TRUE(client.log.events("unusual_volume").empty());
  EXPECT_EQ(client.codes(message), "250 250 250 250 250 250 354 250") << "it is told, not refused";
  client.says(message);
  const auto events = client.log.events("unusual_volume");
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].fields,
            R"("user":"app","ip":"127.0.0.1","listener":"[::]:587","recipients":105,"busiest_hour":0)");
  EXPECT_EQ(client.metrics.count("submission_unusual_volume_total"), 1U);
}

TEST(Shutdown, TellsAnIdleClient) {
  SessionHarness client;
  client.logs_in();
  client.session->request_stop();
  EXPECT_EQ(client.received(), "421 4.3.2 The relay is shutting down; try again in a moment\r\n");
  EXPECT_TRUE(client.closed());
}

TEST(Shutdown, LetsAMessageUnderWayEnd) {
  SessionHarness client;
  client.logs_in();
  EXPECT_EQ(client.codes("MAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA"), "250 250 354");
  client.session->request_stop();
  EXPECT_EQ(client.received(), "");
  EXPECT_EQ(client.codes("x\r\n."), "250 421");
  EXPECT_EQ(client.sink.messages.size(), 1U);
}

TEST(Deadline, EndsAnIdleSession) {
  SessionHarness client;
  client.logs_in();
  client.waits(std::chrono::seconds(299));
  EXPECT_FALSE(client.closed());
  client.waits(std::chrono::seconds(2));
  EXPECT_TRUE(client.session_ended());
  EXPECT_EQ(client.metrics.count("submission_rejections_total{reason=timeout}"), 1U);
}

TEST(Deadline, ComesSoonerNearTheConnectionLimit) {
  SessionHarness client;
  client.under_pressure = true;
  client.logs_in();
  client.waits(std::chrono::seconds(51));
  EXPECT_TRUE(client.session_ended());
}

TEST(Deadline, IsNotMovedByADrip) {
  SessionHarness client;
  client.logs_in();
  for (int i = 0; i < 40 && !client.session_ended(); ++i) {
    client.sends("N");
    client.waits(std::chrono::seconds(10));
  }
  EXPECT_TRUE(client.session_ended());
}

TEST(Deadline, HoldsForAllThatComesBeforeTheLogin) {
  SessionHarness client(kSubmission);
  for (int i = 0; i < 40 && !client.session_ended(); ++i) {
    client.says("NOOP");
    client.waits(std::chrono::seconds(10));
  }
  EXPECT_TRUE(client.session_ended());
}

}  // namespace
}  // namespace holdfast
