// Mail transactions with a failure at every step, and with peers that do not keep to the script.
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

TEST(ClientSession, IsBrokenByWordsAheadOfEhlo) {
  Talk talk({"220 mx\r\n250 ahead of time", "250 mx"});
  EXPECT_TRUE(talk.open().error().is(ClientError::out_of_turn));
  EXPECT_EQ(talk.server.written(), "");
}

TEST(ClientSession, IsNotUsableWithWordsBehindEhlo) {
  Talk talk({"220 mx", "250 mx\r\n250 ok"});
  EXPECT_TRUE(talk.open());
  EXPECT_FALSE(talk.session.usable());
  EXPECT_TRUE(talk.send(message_to({"x@b.example"})).broken);
  EXPECT_EQ(talk.said(), "");
}

TEST(ClientSession, IsBrokenByRepliesThatNobodyAskedFor) {
  struct Case {
    Lines replies;
    const char* last_said;
  };
  const std::vector<Case> cases = {
      {{"250 ok\r\n250 ok", "250 ok", "354 go", "250 ok"}, "MAIL FROM:<from@a.example>\r\n"},
      {{"250 ok", "250 ok\r\n354 go", "250 queued"}, "RCPT TO:<x@b.example>\r\n"},
      {{"250 ok", "250 ok", "354 go\r\n250 queued"}, "DATA\r\n"},
  };
  for (const auto& [replies, last_said] : cases) {
    Talk talk(kPlain, replies);
    const auto result = talk.send_after_open(message_to({"x@b.example"}));
    ASSERT_TRUE(result.broken);
    EXPECT_TRUE(result.broken->is(ClientError::out_of_turn)) << result.broken->text();
    EXPECT_FALSE(result.in_doubt);
    EXPECT_EQ(result.recipients[0].reply.code, 0);
    EXPECT_TRUE(talk.said().ends_with(last_said)) << talk.said();
    EXPECT_FALSE(talk.session.usable());
  }
}

TEST(ClientSession, IsBrokenByRepliesThatDoNotFit) {
  const std::vector<Lines> conversations = {
      {"354 go"},                                 // to MAIL
      {"250 ok", "354 go"},                       // to RCPT
      {"250 ok", "250 ok", "250 ok"},             // to DATA
      {"250 ok", "250 ok", "334 more"},           // to DATA
      {"250 ok", "250 ok", "354 go", "354 more"}  // to the end
  };
  for (const auto& replies : conversations) {
    Talk talk(kPlain, replies);
    const auto result = talk.send_after_open(message_to({"x@b.example"}));
    ASSERT_TRUE(result.broken);
    EXPECT_TRUE(result.broken->is(ClientError::unexpected_reply)) << result.broken->text();
    EXPECT_EQ(result.recipients[0].reply.code, 0);
    EXPECT_EQ(result.in_doubt, replies.size() == 4);
    EXPECT_TRUE(talk.server.closed());
  }
}

// The whole conversation, broken at each step in each way.
TEST(ClientSession, IsNeverMistakenWhereverItBreaks) {
  struct Conversation {
    Lines opening, replies;
  };
  std::vector<Conversation> conversations = {
      {kPlain, {"250 ok", "250 ok", "550 no", "354 go", "250 queued"}},
      {kPipelining, {"250 ok\r\n250 ok\r\n550 no\r\n354 go", "250 queued"}},
      {kPipelining, {"250 ok", "250 ok", "550 no", "354 go", "250 queued"}},
      {kChunking, {"250 ok", "250 ok", "550 no", "250 queued"}},
  };
  using Kind = StreamFault::Kind;
  int runs = 0;
  for (const auto& [opening, replies] : conversations) {
    for (const auto kind : {Kind::cut, Kind::reset, Kind::timeout}) {
      for (std::size_t step = 0;; ++step, ++runs) {
        StreamFault fault;
        fault.kind = kind;
        fault.step = step;
        Talk talk(opening, replies, fault);
        const auto opened = talk.open();
        if (!opened) {
          EXPECT_FALSE(talk.session.usable());
          continue;
        }
        const auto result = talk.send(message_to({"x@b.example", "y@b.example"}));
        if (!result.broken) {
          EXPECT_THAT(codes(result), ElementsAre(250, 550));
          EXPECT_GE(step, talk.server.steps());
          break;
        }
        EXPECT_TRUE(talk.server.closed());
        EXPECT_FALSE(talk.session.usable());
        EXPECT_EQ(result.recipients[0].reply.code, 0) << "no answer may be made up";
        EXPECT_TRUE(result.recipients[1].reply.code == 0 || result.recipients[1].reply.code == 550);
        const auto& said = talk.server.written();
        const bool end_was_sent = said.ends_with("\r\n.\r\n") || said.find("LAST") != said.npos;
        EXPECT_TRUE(result.in_doubt || !end_was_sent) << said;
      }
    }
  }
  EXPECT_GT(runs, 60);
}

// Steps: greeting, EHLO and its reply, then three commands with theirs; 9 is the write of the content.
TEST(ClientSession, IsInDoubtFromTheEndOfTheContentOn) {
  for (std::size_t step = 3; step <= 10; ++step) {
    StreamFault fault;
    fault.kind = StreamFault::Kind::cut;
    fault.step = step;
    Talk talk(kPlain, {"250 ok", "250 ok", "354 go", "250 queued"}, fault);
    const auto result = talk.send_after_open(message_to({"x@b.example"}));
    EXPECT_TRUE(result.broken);
    EXPECT_EQ(result.in_doubt, step >= 9) << step;
  }
}

TEST(ClientSession, CutsTheConnectionWhenTheBodyCannotBeRead) {
  struct Failing final : BodySource {
    asio::awaitable<Result<std::string_view>> next() override {
      if (calls++ == 0) co_return std::string_view("first part\r\n");
      co_return Error(BaseError::io, "the disk");
    }
    int calls = 0;
  };
  for (const auto& opening : {kPlain, kChunking}) {
    Failing body;
    Talk talk(opening, {"250 ok", "250 ok", "354 go", "250 queued"});
    ASSERT_TRUE(talk.open());
    const auto result = run(talk.session.send(message_to({"x@b.example"}), body));
    ASSERT_TRUE(result.broken);
    EXPECT_TRUE(result.broken->is(BaseError::io));
    EXPECT_FALSE(result.in_doubt);
    EXPECT_FALSE(talk.server.written().ends_with(".\r\n"));
    EXPECT_THAT(talk.server.written(), testing::Not(HasSubstr("LAST")));
    EXPECT_TRUE(talk.server.closed());
  }
}

}  // namespace
}  // namespace holdfast
