// Content in one flight with its envelope (RFC 3030 section 4.2): when it is done, and what each reply means.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "smtp/client/client_error.h"
#include "smtp/client/transaction.h"
#include "tests/smtp/client/scripted_talk.h"

namespace holdfast {
namespace {

using namespace scripted;
using testing::ElementsAre;

const std::string kContent = "Subject: x\r\n\r\nhello\r\n";  // 21 octets
const std::string kFlight =
    "MAIL FROM:<from@a.example> SIZE=21\r\nRCPT TO:<to@b.example>\r\nBDAT 21 LAST\r\n" + kContent;
const Lines kOffers = {"220 mx.example ESMTP",
                       "250-mx.example\r\n250-PIPELINING\r\n250-SIZE\r\n250 CHUNKING"};
const Lines kFirst = {"250 ok\r\n250 ok", "250 queued"};  // of the first message, in two flights

OutgoingMessage small_message(std::vector<std::string> to = {"to@b.example"}) {
  auto message = message_to(std::move(to));
  message.size = kContent.size();
  return message;
}

// A session that has just delivered its first message.
struct Warm {
  explicit Warm(Lines replies, Lines opening = kOffers, StreamFault fault = {})
      : talk(Talk::joined(std::move(opening), kFirst), std::move(replies), fault) {
    talk.session.send_content_at_once(true);
    EXPECT_TRUE(talk.open());
    first = talk.send(small_message(), kContent);
    said_before = talk.said().size();
  }
  TransactionResult send(OutgoingMessage message = small_message(), std::string content = kContent) {
    return talk.send(std::move(message), std::move(content));
  }
  std::string said() const { return talk.said().substr(said_before); }

  Talk talk;
  TransactionResult first;
  std::size_t said_before = 0;
};

TEST(ContentAtOnce, GoesWithTheEnvelopeFromTheSecondMessageOn) {
  Warm warm({"250 ok\r\n250 ok\r\n250 queued"});
  EXPECT_EQ(warm.first.recipients[0].reply.code, 250);
  const auto steps = warm.talk.server.steps();
  const auto result = warm.send();
  EXPECT_FALSE(result.broken);
  EXPECT_THAT(codes(result), ElementsAre(250));
  EXPECT_THAT(stages(result), ElementsAre(Stage::final_dot));
  EXPECT_EQ(warm.said(), kFlight);
  EXPECT_EQ(warm.talk.server.steps() - steps, 2u) << "one write, one read";
  EXPECT_TRUE(warm.talk.session.usable());
}

TEST(ContentAtOnce, IsNotDoneUnlessAskedForAndOffered) {
  for (const bool asked : {false, true}) {
    const Lines without = {"220 mx.example ESMTP", "250-mx.example\r\n250-SIZE\r\n250 CHUNKING"};
    Lines first = asked ? Lines{"250 ok", "250 ok", "250 queued"} : kFirst;
    Talk talk(asked ? without : kOffers, Talk::joined(first, first));
    talk.session.send_content_at_once(asked);
    ASSERT_TRUE(talk.open());
    talk.send(small_message(), kContent);
    const auto steps = talk.server.steps();
    EXPECT_THAT(codes(talk.send(small_message(), kContent)), ElementsAre(250));
    EXPECT_GE(talk.server.steps() - steps, 4u);
  }
}

TEST(ContentAtOnce, IsNotDoneOnAConnectionThatWasLeftAlone) {
  Warm warm(kFirst);
  warm.talk.clock.advance(std::chrono::seconds(3));
  const auto steps = warm.talk.server.steps();
  EXPECT_THAT(codes(warm.send()), ElementsAre(250));
  EXPECT_EQ(warm.talk.server.steps() - steps, 4u);
}

TEST(ContentAtOnce, IsNotDoneForLargeOrUnmeasuredContent) {
  for (const std::uint64_t size : {std::uint64_t{0}, std::uint64_t{kMostAtOnce + 1}}) {
    Warm warm(kFirst);
    auto message = small_message();
    message.size = size;
    const auto steps = warm.talk.server.steps();
    EXPECT_THAT(codes(warm.send(message)), ElementsAre(250));
    EXPECT_EQ(warm.talk.server.steps() - steps, 4u);
  }
}

TEST(ContentAtOnce, GivesEachRecipientItsReply) {
  Warm warm({"250 ok\r\n250 ok\r\n550 5.1.1 no\r\n250 ok\r\n250 queued"});
  const auto result = warm.send(small_message({"a@b.example", "b@b.example", "c@b.example"}));
  EXPECT_THAT(codes(result), ElementsAre(250, 550, 250));
  EXPECT_THAT(stages(result), ElementsAre(Stage::final_dot, Stage::rcpt, Stage::final_dot));
  EXPECT_FALSE(result.in_doubt);
}

TEST(ContentAtOnce, OfARefusedEnvelopeIsRefusedToo) {
  Warm mail({"451 later\r\n503 no\r\n503 no"});
  const auto refused = mail.send();
  EXPECT_FALSE(refused.broken);
  EXPECT_THAT(codes(refused), ElementsAre(451));
  EXPECT_THAT(stages(refused), ElementsAre(Stage::mail));
  EXPECT_TRUE(mail.talk.session.usable());

  Warm rcpt({"250 ok\r\n550 no\r\n554 no recipients", "250 reset\r\n250 ok\r\n250 ok", "250 queued"});
  EXPECT_THAT(codes(rcpt.send()), ElementsAre(550));
  // The transaction is still open there: RSET comes first, and the content waits for its turn again.
  EXPECT_THAT(codes(rcpt.send()), ElementsAre(250));
  EXPECT_NE(rcpt.said().find("hello\r\nRSET\r\nMAIL"), std::string::npos);
}

TEST(ContentAtOnce, TakenWithoutARecipientIsNonsenseAndEndsTheConnection) {
  Warm warm({"250 ok\r\n550 no\r\n250 queued"});
  const auto result = warm.send();
  ASSERT_TRUE(result.broken);
  EXPECT_TRUE(result.broken->is(ClientError::unexpected_reply));
  EXPECT_THAT(codes(result), ElementsAre(550));
  EXPECT_FALSE(result.in_doubt);
  EXPECT_FALSE(warm.talk.session.usable());
}

TEST(ContentAtOnce, ThatMayNotBeSentLeavesNothingSaid) {
  const std::vector<std::string> all_bad = {"a\nb\r\n", "a\rb\r\n", std::string("a\0b\r\n", 5), "a\r"};
  for (const auto& bad : all_bad) {
    Warm warm({});
    auto message = small_message();
    message.size = bad.size();
    const auto result = warm.send(message, bad);
    EXPECT_TRUE(result.broken);
    EXPECT_FALSE(result.in_doubt);
    EXPECT_EQ(warm.said(), "");
  }
}

TEST(ContentAtOnce, EndsInALineEnd) {
  Warm warm({"250 ok\r\n250 ok\r\n250 queued"});
  auto message = small_message();
  message.size = 5;
  EXPECT_THAT(codes(warm.send(message, "a\r\nbc")), ElementsAre(250));
  EXPECT_TRUE(warm.said().ends_with("BDAT 7 LAST\r\na\r\nbc\r\n"));
}

TEST(ContentAtOnce, ThatBreaksOffIsInDoubtUnlessThePeerSaidNo) {
  // A peer may have worked off the whole flight before its replies were lost (RFC 2920 section 3.2).
  for (const char* heard : {"", "250 ok", "250 ok\r\n250 ok"}) {
    Warm warm(*heard == '\0' ? Lines{} : Lines{heard});
    const auto result = warm.send();
    EXPECT_TRUE(result.broken) << heard;
    EXPECT_TRUE(result.in_doubt) << heard;
    EXPECT_THAT(codes(result), ElementsAre(0)) << heard;
  }
  Warm leaving({"250 ok\r\n421 4.3.2 closing"});
  const auto result = leaving.send();
  EXPECT_FALSE(result.in_doubt);
  EXPECT_THAT(codes(result), ElementsAre(421));
  EXPECT_FALSE(leaving.talk.session.usable());
}

}  // namespace
}  // namespace holdfast
