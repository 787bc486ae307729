#include "smtp/wire/reply.h"

#include <gtest/gtest.h>

#include "smtp/wire/wire_error.h"

namespace holdfast {
namespace {

// Feeds lines; the reply of the last one.
Result<std::optional<Reply>> parse(std::vector<std::string> lines) {
  ReplyParser parser;
  Result<std::optional<Reply>> last = std::optional<Reply>();
  for (const std::string& line : lines) last = parser.feed(line);
  return last;
}

TEST(ReplyParser, ReadsOneLine) {
  auto reply = parse({"250 2.1.0 fine"});
  ASSERT_TRUE(reply && *reply);
  EXPECT_EQ((*reply)->code, 250);
  EXPECT_EQ((*reply)->text, std::vector<std::string>{"2.1.0 fine"});
}

TEST(ReplyParser, JoinsLinesAndStartsAfresh) {
  ReplyParser parser;
  EXPECT_FALSE(*parser.feed("250-mx.example"));
  EXPECT_FALSE(*parser.feed("250-"));
  auto reply = parser.feed("250 HELP");
  ASSERT_TRUE(reply && *reply);
  EXPECT_EQ((*reply)->text, (std::vector<std::string>{"mx.example", "", "HELP"}));
  EXPECT_EQ((**parser.feed("354")).code, 354);
}

TEST(ReplyParser, RefusesWhatIsNoReply) {
  for (const char* line :
       {"", "25", "hello", "150 early", "650 late", "2x0 odd", "250_odd", "2500 odd", " 250 odd"}) {
    auto reply = parse({line});
    ASSERT_FALSE(reply) << line;
    EXPECT_TRUE(reply.error().is(WireError::malformed)) << line;
  }
}

TEST(ReplyParser, RefusesAReplyThatChangesItsCode) {
  EXPECT_TRUE(parse({"550-no", "250 yes"}).error().is(WireError::malformed));
}

TEST(ReplyParser, BoundsLinesAndTheirNumber) {
  EXPECT_TRUE(parse({"250 " + std::string(kMaxReplyLine - 4, 'x')}));
  EXPECT_TRUE(parse({"250 " + std::string(kMaxReplyLine - 3, 'x')}).error().is(WireError::line_too_long));
  std::vector<std::string> lines(kMaxReplyLines, "250-x");
  EXPECT_TRUE(parse(lines));
  lines.push_back("250 x");
  EXPECT_TRUE(parse(lines).error().is(WireError::reply_too_long));
}

TEST(EnhancedStatus, IsReadOnlyWhereItsClassAgrees) {
  EXPECT_EQ(make_reply(550, "5.1.1 no such user").enhanced()->text(), "5.1.1");
  EXPECT_EQ(make_reply(250, "2.0.0").enhanced()->text(), "2.0.0");
  EXPECT_FALSE(make_reply(250, "5.1.1 odd").enhanced());
  EXPECT_FALSE(make_reply(550, "no such user").enhanced());
  EXPECT_FALSE(make_reply(550, "5.1.1no").enhanced());
}

TEST(EnhancedStatus, RefusesWhatIsNoCode) {
  for (const char* text : {"", "5", "5.1", "5.1.", "5..1", "3.1.1", "5.1000.1", "5.1.1000", "5.-1.1",
                           "5.1.1.1", "x.1.1", "5.1.+1"}) {
    EXPECT_FALSE(EnhancedStatus::parse(text)) << text;
  }
  EXPECT_EQ(EnhancedStatus::parse("4.999.0")->subject, 999);
}

TEST(Reply, GoesOnTheWireLineByLine) {
  Reply reply{250, {"one", "two"}};
  EXPECT_EQ(reply.wire(), "250-one\r\n250 two\r\n");
  EXPECT_EQ(make_reply(221, "2.0.0 bye").wire(), "221 2.0.0 bye\r\n");
}

TEST(Reply, NeverSendsALineEndFromItsText) {
  EXPECT_EQ(make_reply(550, "no\r\n250 yes").wire(), "550 no  250 yes\r\n");
  EXPECT_LE(make_reply(550, std::string(2000, 'x')).wire().size(), 512U);
}

TEST(Reply, SummaryIsOneBoundedLine) {
  Reply reply{550, {"5.1.1 no", "such\tuser"}};
  EXPECT_EQ(reply.summary(), "550 5.1.1 no such user");
  EXPECT_LE((Reply{550, std::vector<std::string>(100, std::string(100, 'x'))}).summary().size(), 512U);
}

TEST(Sanitise, ReplacesControlsAndBadUtf8) {
  EXPECT_EQ(sanitise(std::string_view("a\r\n\0\x1b\x7f z", 8)), "a      z");
  EXPECT_EQ(sanitise("gr\xC3\xBC\xC3\x9F"), "gr\xC3\xBC\xC3\x9F");
  EXPECT_EQ(sanitise("\xC2\x9B[31m"), " [31m");
  EXPECT_EQ(sanitise("a\xFF\xC0\xAFz"), "a???z");
  EXPECT_EQ(sanitise("\xED\xA0\x80"), "???");
}

TEST(Sanitise, NeverCutsACharacterInTwo) {
  EXPECT_EQ(sanitise("ab\xC3\xBC", 3), "ab");
  EXPECT_EQ(sanitise("ab\xC3\xBC", 4), "ab\xC3\xBC");
  EXPECT_EQ(sanitise("abcd", 3), "abc");
  EXPECT_EQ(sanitise("ab\ncd\nef", 4), "ab c");
  EXPECT_EQ(sanitise("ab\ncd", 2), "ab");
}

}  // namespace
}  // namespace holdfast
