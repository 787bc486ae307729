// Mail transactions as transcripts: commands, refusals, reuse. Broken ones are in transaction_broken_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "smtp/base/base_error.h"
#include "smtp/client/client_error.h"
#include "smtp/wire/wire_error.h"
#include "tests/smtp/client/scripted_talk.h"

namespace holdfast {
namespace {

using namespace scripted;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(ClientSession, SendsAMessageCommandByCommand) {
  Talk talk(kPlain, {"250 2.1.0 ok", "250 2.1.5 ok", "354 go", "250 2.0.0 queued"});
  const auto result = talk.send_after_open(message_to({"to@b.example"}));
  EXPECT_FALSE(result.broken);
  EXPECT_THAT(codes(result), ElementsAre(250));
  EXPECT_THAT(stages(result), ElementsAre(Stage::final_dot));
  EXPECT_EQ(
      talk.said(),
      "MAIL FROM:<from@a.example>\r\nRCPT TO:<to@b.example>\r\nDATA\r\nSubject: x\r\n\r\nhello\r\n.\r\n");
  EXPECT_TRUE(talk.session.usable());
}

TEST(ClientSession, PipelinesTheEnvelopeInOneFlight) {
  Talk talk(kPipelining, {"250 ok\r\n250 ok\r\n250 ok\r\n354 go", "250 queued"});
  ASSERT_TRUE(talk.open());
  const auto steps = talk.server.steps();
  const auto result = talk.send(message_to({"x@b.example", "y@b.example"}));
  EXPECT_THAT(codes(result), ElementsAre(250, 250));
  EXPECT_EQ(talk.server.steps() - steps, 4u) << "write, read, write, read";
}

TEST(ClientSession, SplitsAVeryLongEnvelopeIntoFlights) {
  std::vector<std::string> recipients;
  for (int i = 0; i < 1000; ++i) recipients.push_back("recipient" + std::to_string(i) + "@b.example");
  Lines replies = {"250 ok"};
  for (int i = 0; i < 1000; ++i) replies.push_back(i % 7 == 0 ? "550 no" : "250 ok");
  replies.push_back("354 go");
  replies.push_back("250 queued");
  Talk talk(kPipelining, replies);
  const auto result = talk.send_after_open(message_to(recipients));
  ASSERT_FALSE(result.broken);
  for (std::size_t i = 0; i < 1000; ++i) EXPECT_EQ(result.recipients[i].reply.code, i % 7 == 0 ? 550 : 250);
}

TEST(ClientSession, GivesParametersOnlyWhereOffered) {
  auto message = message_to({"to@b.example"});
  message.size = 1234;
  message.dsn_return = DsnReturn::headers;
  message.envelope_id = "id+2B1";
  message.recipients[0].dsn.notify = kNotifySuccess | kNotifyDelay;
  message.recipients[0].dsn.original_recipient = "rfc822;old@b.example";
  Talk plain(kPlain, {"250 ok", "550 no"});
  plain.send_after_open(message);
  EXPECT_EQ(plain.said(), "MAIL FROM:<from@a.example>\r\nRCPT TO:<to@b.example>\r\n");

  message.body = BodyType::eight_bit;
  message.smtputf8 = true;
  Talk rich({"220 mx", "250-mx\r\n250-SIZE\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 DSN", "250 ok", "550 no"});
  rich.send_after_open(message);
  EXPECT_EQ(rich.said(),
            "MAIL FROM:<from@a.example> SIZE=1234 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=id+2B1\r\n"
            "RCPT TO:<to@b.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;old@b.example\r\n");
}

TEST(ClientSession, SaysTheNullReversePathAndPostmaster) {
  auto message = message_to({});
  message.reverse_path = Mailbox();
  OutgoingRecipient postmaster;
  postmaster.address = make_mailbox("Postmaster", "");
  message.recipients.push_back(postmaster);
  Talk talk(kPlain, {"250 ok", "250 ok", "354 go", "250 ok"});
  talk.send_after_open(message);
  EXPECT_THAT(talk.said(), HasSubstr("MAIL FROM:<>\r\nRCPT TO:<Postmaster>\r\n"));
}

TEST(ClientSession, SendsNothingThatNeedsWhatThePeerLacks) {
  for (int need = 0; need < 3; ++need) {
    auto message = message_to({"to@b.example"});
    message.smtputf8 = need == 0;
    message.body = need == 1 ? BodyType::eight_bit : BodyType::seven_bit;
    message.requiretls = need == 2;
    Talk talk({"220 mx", "250-mx\r\n250 REQUIRETLS"});
    const auto result = talk.send_after_open(message);
    ASSERT_TRUE(result.broken);
    EXPECT_TRUE(result.broken->is(ClientError::missing_extension));
    EXPECT_EQ(talk.said(), "");
    EXPECT_TRUE(talk.session.usable());
  }
}

TEST(ClientSession, NeverSaysALineEndWithinACommand) {
  for (const char* evil : {"a\r\nDATA", "a\nb", "a\rb", "a\x01"}) {
    auto message = message_to({"to@b.example"});
    message.reverse_path = make_mailbox(evil, "a.example");
    Talk talk(kPipelining);
    EXPECT_TRUE(talk.send_after_open(message).broken->is(BaseError::malformed));
    EXPECT_EQ(talk.said(), "");

    message = message_to({"to@b.example"});
    message.recipients[0].address = make_mailbox(evil, "b.example");
    Talk other(kPipelining);
    EXPECT_TRUE(other.send_after_open(message).broken->is(BaseError::malformed));
    EXPECT_EQ(other.said(), "");
  }
}

// Refusals

TEST(ClientSession, GivesARefusedMailToEveryRecipient) {
  for (const auto& opening : {kPlain, kPipelining}) {
    const bool pipelined = opening == kPipelining;
    Talk talk(opening,
              pipelined ? Lines{"550 5.7.1 no\r\n503 no\r\n503 no\r\n503 no"} : Lines{"550 5.7.1 no"});
    const auto result = talk.send_after_open(message_to({"x@b.example", "y@b.example"}));
    EXPECT_FALSE(result.broken);
    EXPECT_THAT(codes(result), ElementsAre(550, 550));
    EXPECT_THAT(stages(result), ElementsAre(Stage::mail, Stage::mail));
    EXPECT_TRUE(talk.session.usable());
  }
}

TEST(ClientSession, KeepsEachRecipientsOwnReply) {
  for (const auto& opening : {kPlain, kPipelining}) {
    Talk talk(opening, {"250 ok", "550 5.1.1 unknown", "250 ok", "451 4.7.1 later", "354 go", "250 queued"});
    const auto result = talk.send_after_open(message_to({"x@b.example", "y@b.example", "z@b.example"}));
    EXPECT_THAT(codes(result), ElementsAre(550, 250, 451));
    EXPECT_THAT(stages(result), ElementsAre(Stage::rcpt, Stage::final_dot, Stage::rcpt));
  }
}

TEST(ClientSession, ReadsNoBodyWhenNobodyIsAccepted) {
  struct Untouched final : BodySource {
    asio::awaitable<Result<std::string_view>> next() override {
      touched = true;
      co_return std::string_view();
    }
    bool touched = false;
  } body;
  for (const auto& opening : {kPlain, kPipelining, kChunking}) {
    Talk talk(opening, {"250 ok", "550 no", "554 no valid recipients"});
    ASSERT_TRUE(talk.open());
    const auto result = run(talk.session.send(message_to({"x@b.example"}), body));
    EXPECT_THAT(codes(result), ElementsAre(550));
    EXPECT_FALSE(body.touched);
    EXPECT_TRUE(talk.session.usable());
  }
}

TEST(ClientSession, EndsADataThatWasOpenedForNobody) {
  Talk talk(kPipelining, {"250 ok\r\n550 no\r\n354 go", "554 no recipients"});
  const auto result = talk.send_after_open(message_to({"x@b.example"}));
  EXPECT_FALSE(result.broken);
  EXPECT_THAT(codes(result), ElementsAre(550));
  EXPECT_TRUE(talk.said().ends_with("DATA\r\n.\r\n")) << talk.said();
  EXPECT_TRUE(talk.session.usable());
}

TEST(ClientSession, EndsADataThatWasOpenedBehindARefusedMail) {
  Talk talk(kPipelining, {"450 no\r\n250 odd\r\n354 go", "250 taken"});
  const auto result = talk.send_after_open(message_to({"x@b.example"}));
  EXPECT_THAT(codes(result), ElementsAre(450));
  EXPECT_TRUE(talk.said().ends_with("DATA\r\n.\r\n"));
}

TEST(ClientSession, GivesARefusedDataToTheAccepted) {
  for (const auto& opening : {kPlain, kPipelining}) {
    Talk talk(opening, {"250 ok", "550 unknown", "250 ok", "451 4.3.0 disk"});
    const auto result = talk.send_after_open(message_to({"x@b.example", "y@b.example"}));
    EXPECT_THAT(codes(result), ElementsAre(550, 451));
    EXPECT_THAT(stages(result), ElementsAre(Stage::rcpt, Stage::data));
    EXPECT_TRUE(talk.session.usable());
  }
}

TEST(ClientSession, GivesARefusedContentToTheAccepted) {
  Talk talk(kPlain, {"250 ok", "250 ok", "354 go", "554 5.7.1 spam"});
  const auto result = talk.send_after_open(message_to({"x@b.example"}));
  EXPECT_THAT(codes(result), ElementsAre(554));
  EXPECT_THAT(stages(result), ElementsAre(Stage::final_dot));
  EXPECT_FALSE(result.in_doubt);
  EXPECT_TRUE(talk.session.usable());
}

TEST(ClientSession, TakesTooManyRecipientsAsTemporary) {
  Talk by_code(kPlain, {"250 ok", "250 ok", "552 too many recipients", "354 go", "250 queued"});
  EXPECT_THAT(codes(by_code.send_after_open(message_to({"x@b.example", "y@b.example"}))),
              ElementsAre(250, 452));
  Talk by_status(kPlain, {"250 ok", "552 5.5.3 too many"});
  EXPECT_THAT(codes(by_status.send_after_open(message_to({"x@b.example"}))), ElementsAre(452));
  Talk full(kPlain, {"250 ok", "250 ok", "552 5.2.2 mailbox full", "354 go", "250 queued"});
  EXPECT_THAT(codes(full.send_after_open(message_to({"x@b.example", "y@b.example"}))), ElementsAre(250, 552));
}

TEST(ClientSession, GivesA421ToAllThatAreUnanswered) {
  const std::vector<Lines> conversations = {
      {"421 closing"},
      {"250 ok", "550 unknown", "421 closing"},
      {"250 ok", "550 unknown", "250 ok", "421 closing"},
      {"250 ok", "550 unknown", "250 ok", "354 go", "421 closing"},
  };
  for (const auto& opening : {kPlain, kPipelining}) {
    for (const auto& replies : conversations) {
      Talk talk(opening, replies);
      const auto result = talk.send_after_open(message_to({"x@b.example", "y@b.example"}));
      EXPECT_FALSE(result.broken) << result.broken->text();
      EXPECT_FALSE(result.in_doubt);
      EXPECT_EQ(result.recipients[0].reply.code, replies.size() == 1 ? 421 : 550);
      EXPECT_EQ(result.recipients[1].reply.code, 421);
      EXPECT_FALSE(talk.session.usable());
      EXPECT_TRUE(talk.server.closed());
    }
  }
}

// Reuse

TEST(ClientSession, ServesManyMessages) {
  Talk talk(kPlain, {"250 ok", "250 ok", "354 go", "250 one", "250 ok", "250 ok", "354 go", "250 two"});
  ASSERT_TRUE(talk.open());
  EXPECT_EQ(talk.send(message_to({"x@b.example"})).recipients[0].reply.text[0], "one");
  EXPECT_EQ(talk.send(message_to({"y@b.example"})).recipients[0].reply.text[0], "two");
  EXPECT_THAT(talk.server.written(), testing::Not(HasSubstr("RSET")));
}

TEST(ClientSession, ResetsATransactionThatWasLeftOpen) {
  for (const auto& opening : {kPlain, kPipelining}) {
    const bool pipelined = opening == kPipelining;
    Lines replies = {"250 ok", "550 unknown"};
    if (pipelined) replies.push_back("503 no recipients");
    for (const char* reply : {"250 reset", "250 ok", "250 ok", "354 go", "250 queued"})
      replies.push_back(reply);
    Talk talk(opening, replies);
    EXPECT_THAT(codes(talk.send_after_open(message_to({"x@b.example"}))), ElementsAre(550));
    EXPECT_THAT(codes(talk.send(message_to({"y@b.example"}))), ElementsAre(250));
    EXPECT_THAT(talk.server.written(), HasSubstr("RSET\r\nMAIL FROM"));
  }
}

TEST(ClientSession, TellsEachMessageItsOwnConversation) {
  Talk talk(kPlain, {"250 ok", "250 ok", "354 go", "250 one", "250 ok", "250 ok", "354 go", "250 two"});
  ASSERT_TRUE(talk.open());
  talk.send(message_to({"secret@b.example"}));
  talk.send(message_to({"to@b.example"}), "body canary\r\n");
  EXPECT_THAT(talk.session.transcript(),
              ElementsAre("S: 220 mx.example ESMTP", "C: EHLO relay.example", "S: 250 mx.example",
                          "C: MAIL FROM:<from@a.example>", "S: 250 ok", "C: RCPT TO:<to@b.example>",
                          "S: 250 ok", "C: DATA", "S: 354 go", "C: (content, 13 octets)", "S: 250 two"));
}

TEST(ClientSession, BoundsTheTranscript) {
  std::vector<std::string> recipients(2000, "x@b.example");
  Lines replies = {"250 ok"};
  for (int i = 0; i < 2000; ++i) replies.push_back("250 " + std::string(1000, 'x'));
  replies.push_back("354 go");
  replies.push_back("250 queued");
  Talk talk(kPipelining, replies);
  EXPECT_FALSE(talk.send_after_open(message_to(recipients)).broken);
  std::size_t octets = 0;
  for (const auto& line : talk.session.transcript()) octets += line.size();
  EXPECT_LE(octets, 301u * 520);
}

}  // namespace
}  // namespace holdfast
