// DATA and BDAT: what arrives, what is refused, and that no octets make a second message.
#include <gtest/gtest.h>

#include "smtp/base/base_error.h"
#include "tests/smtp/server/session_harness.h"

namespace holdfast {
namespace {

constexpr const char* kEnvelope = "MAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\n";

std::string bdat(std::string_view content, bool last = true) {
  return "BDAT " + std::to_string(content.size()) + (last ? " LAST\r\n" : "\r\n") + std::string(content);
}

TEST(Data, NeedsARecipient) {
  SessionHarness client;
  client.logs_in();
  EXPECT_EQ(client.says("DATA"), "503 5.5.1 Say MAIL first\r\n");
  client.says("MAIL FROM:<>");
  EXPECT_EQ(client.says("DATA"), "554 5.5.1 No recipient was accepted; say RCPT first\r\n");
  client.says("RCPT TO:<bad>");
  EXPECT_EQ(client.codes("DATA"), "554");
  EXPECT_EQ(client.codes("RCPT TO:<a@b.example>\r\nDATA\r\nx\r\n."), "250 354 250");
}

TEST(Data, TakesAnEmptyMessage) {
  SessionHarness client;
  client.logs_in();
  EXPECT_EQ(client.codes(std::string(kEnvelope) + "DATA\r\n."), "250 250 354 250");
  EXPECT_EQ(client.sink.messages.at(0).body, "");
}

TEST(Data, RefusesBareLineEndsAndNulBehindTheTrueEnd) {
  const std::pair<std::string, const char*> cases[] = {
      {"a\nb", "554 5.6.0 The message holds a LF without a CR before it; end lines with CRLF only\r\n"},
      {"a\rb", "554 5.6.0 The message holds a CR that is not followed by LF; end lines with CRLF only\r\n"},
      {std::string("a\0b", 3),
       "554 5.6.0 The message holds a NUL octet; encode binary content as base64\r\n"},
  };
  for (const auto& [content, reply] : cases) {
    SessionHarness client;
    client.logs_in();
    EXPECT_EQ(client.codes(std::string(kEnvelope) + "DATA"), "250 250 354");
    EXPECT_EQ(client.sends(content + "\r\nmore\r\n.\r"), "");
    EXPECT_EQ(client.sends("\n"), reply);
    EXPECT_EQ(client.codes("DATA"), "503");
    EXPECT_EQ(client.codes(std::string(kEnvelope) + "DATA\r\nx\r\n."), "250 250 354 250");
    EXPECT_EQ(client.sink.messages.size(), 1U);
    EXPECT_EQ(client.metrics.count("submission_rejections_total{reason=content}"), 1U);
  }
}

TEST(Data, RefusesLongLinesUnlessTold) {
  const std::string line(999, 'x');
  SessionHarness strict;
  strict.logs_in();
  EXPECT_EQ(strict.codes(std::string(kEnvelope) + "DATA\r\n" + std::string(998, 'x') + "\r\n."),
            "250 250 354 250");
  strict.codes(kEnvelope);
  EXPECT_EQ(strict.says("DATA\r\n" + line + "\r\n."),
            "354 Send the message, end it with a dot on a line of its own\r\n"
            "554 5.6.0 A line of the message is longer than 998 octets; use quoted-printable or base64\r\n");
  SessionHarness lenient({.long_lines = LongLines::accept});
  lenient.logs_in();
  EXPECT_EQ(lenient.codes(std::string(kEnvelope) + "DATA\r\n" + line + "\r\n."), "250 250 354 250");
}

TEST(Data, RefusesWhatIsTooLargeAndGoesOn) {
  SessionHarness client({.message_size = 1000});
  client.logs_in();
  std::string text;
  for (int i = 0; i < 100; ++i) text += "0123456789\r\n";
  client.codes(std::string(kEnvelope) + "DATA");
  EXPECT_EQ(client.says(text + "."), "552 5.3.4 The message is larger than 1000 octets\r\n");
  EXPECT_EQ(client.codes(std::string(kEnvelope) + "DATA\r\nx\r\n."), "250 250 354 250");
  EXPECT_EQ(client.metrics.count("submission_rejections_total{reason=size}"), 1U);
}

TEST(Data, HangsUpOnAClientThatNeverStops) {
  SessionHarness client({.message_size = 1000});
  client.logs_in();
  client.codes(std::string(kEnvelope) + "DATA");
  std::string text;
  for (int i = 0; i < 10000; ++i) text += "0123456789\r\n";
  std::string all;
  for (int i = 0; i < 20 && !client.closed(); ++i) all += client.sends(text);
  EXPECT_EQ(codes_of(all), "552");
  EXPECT_TRUE(client.closed());
  EXPECT_TRUE(client.sink.messages.empty());
}

TEST(Data, TellsWhatTheQueueSays) {
  SessionHarness client;
  client.logs_in();
  client.sink.refusal = make_reply(554, "5.6.0 Too many Received fields");
  EXPECT_EQ(client.codes(std::string(kEnvelope) + "DATA"), "250 250 354");
  EXPECT_EQ(client.says("x\r\n."), "554 5.6.0 Too many Received fields\r\n");
  client.sink.refusal.reset();
  client.sink.failure = Error(BaseError::io, "disk");
  EXPECT_EQ(client.codes(std::string(kEnvelope) + "DATA"), "250 250 354");
  EXPECT_EQ(client.says("x\r\n."), "451 4.3.0 The message could not be stored; try again later\r\n");
  EXPECT_TRUE(client.sink.messages.empty());
}

TEST(Data, ReadsToTheEndWhenTheQueueRefusesEarly) {
  SessionHarness client;
  client.logs_in();
  client.sink.refusal = make_reply(552, "5.3.4 Header too large");
  client.sink.refuse_after = 1;
  client.codes(std::string(kEnvelope) + "DATA");
  EXPECT_EQ(client.sends("first part\r\n"), "");
  EXPECT_EQ(client.sends("MAIL FROM:<evil@b.example>\r\n"), "");
  EXPECT_EQ(client.says("."), "552 5.3.4 Header too large\r\n");
}

TEST(Data, IsDroppedWhenTheClientGoesAway) {
  SessionHarness client;
  client.logs_in();
  client.codes(std::string(kEnvelope) + "DATA");
  client.sends("half a mess");
  client.hangs_up();
  EXPECT_TRUE(client.session_ended());
  EXPECT_TRUE(client.sink.messages.empty());
  EXPECT_EQ(client.sink.aborted.size(), 1U);
}

TEST(Data, ComesInBoundedChunks) {
  SessionHarness client({.message_size = 10000000});
  client.logs_in();
  client.codes(std::string(kEnvelope) + "DATA");
  std::string text;
  for (int i = 0; i < 50000; ++i) text += "0123456789\r\n";
  EXPECT_EQ(client.codes(text + "."), "250");
  EXPECT_EQ(client.sink.messages.at(0).body, text);
  EXPECT_LE(client.sink.longest_chunk, 64U * 1024U);
}

// RFC 5321 asks for patience, issue and operator for an end: the average must hold once a minute has passed.
TEST(Data, MustKeepTheMinimumRate) {
  SessionHarness client({.min_rate = 100});
  client.logs_in();
  client.codes(std::string(kEnvelope) + "DATA");
  int seconds = 0;
  while (!client.session_ended() && seconds < 1000) {
    client.sends("x");
    client.waits(std::chrono::seconds(10));
    seconds += 10;
  }
  EXPECT_EQ(seconds, 60);
  EXPECT_TRUE(client.sink.messages.empty());
}

TEST(Data, AtTheMinimumRateMayTakeLong) {
  SessionHarness client({.min_rate = 100});
  client.logs_in();
  client.codes(std::string(kEnvelope) + "DATA");
  const std::string kilobyte = std::string(498, 'x') + "\r\n" + std::string(498, 'x') + "\r\n";
  for (int i = 0; i < 90; ++i) {
    client.sends(kilobyte);
    client.waits(std::chrono::seconds(10));
  }
  EXPECT_EQ(client.codes("."), "250");
}

TEST(Bdat, TakesChunksAsTheyAre) {
  SessionHarness client;
  client.logs_in();
  client.codes(kEnvelope);
  EXPECT_EQ(client.sends(bdat("one\r\n.\r\n", false)), "250 2.0.0 8 octets received\r\n");
  EXPECT_EQ(client.sends(bdat("", false)), "250 2.0.0 0 octets received\r\n");
  EXPECT_EQ(client.sends(bdat("..two")), "250 2.0.0 Ok: queued as 00000000000000000000000001\r\n");
  EXPECT_EQ(client.sink.messages.at(0).body, "one\r\n.\r\n..two");
}

TEST(Bdat, MayEndWithAnEmptyChunk) {
  SessionHarness client;
  client.logs_in();
  client.codes(kEnvelope);
  EXPECT_EQ(codes_of(client.sends(bdat("one\r\n", false) + bdat(""))), "250 250");
  EXPECT_EQ(client.sink.messages.at(0).body, "one\r\n");
}

TEST(Bdat, ThatIsRefusedIsReadAllTheSame) {
  SessionHarness client;
  client.logs_in();
  EXPECT_EQ(client.sends(bdat("MAIL FROM:<>\r\n", false) + bdat("QUIT\r\n")),
            "503 5.5.1 Say MAIL first\r\n503 5.5.1 Say MAIL first\r\n");
  client.says("MAIL FROM:<>");
  EXPECT_EQ(client.sends(bdat("RSET\r\n")), "554 5.5.1 No recipient was accepted; say RCPT first\r\n");
  EXPECT_EQ(client.codes(std::string(kEnvelope) + "RSET"), "250 250 250") << "the transaction is over";
}

TEST(Bdat, RefusesAtTheChunkThatIsBadAndThenNothingCounts) {
  SessionHarness client;
  client.logs_in();
  client.codes(kEnvelope);
  EXPECT_EQ(codes_of(client.sends(bdat("a\r\n", false) + bdat("b\nc", false) + bdat("QUIT\r\n"))),
            "250 554 503");
  EXPECT_TRUE(client.sink.messages.empty());
  EXPECT_EQ(client.codes(kEnvelope), "250 250 500");  // the empty line behind is no command
}

TEST(Bdat, SeesACrSplitFromItsLf) {
  SessionHarness client;
  client.logs_in();
  client.codes(kEnvelope);
  EXPECT_EQ(codes_of(client.sends(bdat("a\r", false) + bdat("\nb\r\n"))), "250 250");
  client.sends(kEnvelope);
  EXPECT_EQ(codes_of(client.sends(bdat("a\r", false) + bdat("b"))), "250 554");
  client.sends(kEnvelope);
  EXPECT_EQ(codes_of(client.sends(bdat("a\r", false) + bdat(""))), "250 554");
  EXPECT_EQ(client.sink.messages.size(), 1U);
}

TEST(Bdat, DoesNotMixWithData) {
  SessionHarness client;
  client.logs_in();
  client.codes(kEnvelope);
  client.sends(bdat("one\r\n", false));
  EXPECT_EQ(client.codes("DATA"), "503");
  EXPECT_EQ(client.codes("RCPT TO:<x@b.example>"), "503");
  EXPECT_EQ(client.codes("MAIL FROM:<>"), "503");
  EXPECT_EQ(client.codes("AUTH PLAIN"), "503");
  EXPECT_EQ(client.codes("STARTTLS"), "503");
  EXPECT_EQ(client.codes("NOOP"), "250");
  EXPECT_EQ(client.codes("WHAT"), "500");
  EXPECT_EQ(codes_of(client.sends(bdat("two\r\n"))), "250");
  EXPECT_EQ(client.sink.messages.at(0).body, "one\r\ntwo\r\n");
}

TEST(Bdat, IsGivenUpByResetHelloAndQuit) {
  for (const char* command : {"RSET", "EHLO again", "HELO again", "QUIT"}) {
    SessionHarness client;
    client.logs_in();
    client.codes(kEnvelope);
    client.sends(bdat("one\r\n", false));
    EXPECT_EQ(client.codes(command), std::string_view(command) == "QUIT" ? "221" : "250") << command;
    if (!client.closed()) {
      EXPECT_EQ(codes_of(client.sends(bdat("two\r\n"))), "503") << command;
    }
    EXPECT_TRUE(client.sink.messages.empty()) << command;
    EXPECT_EQ(client.sink.aborted.size(), 1U) << command;
  }
}

TEST(Bdat, WithoutALegibleSizeEndsTheSession) {
  for (const char* when : {"", "between"}) {
    SessionHarness client;
    client.logs_in();
    client.codes(kEnvelope);
    if (*when) client.sends(bdat("one\r\n", false));
    EXPECT_EQ(client.codes("BDAT x LAST\r\nMAIL FROM:<evil@b.example>"), "501");
    EXPECT_TRUE(client.closed());
    EXPECT_TRUE(client.sink.messages.empty());
  }
}

TEST(Bdat, IsRefusedWhenTooLarge) {
  SessionHarness client({.message_size = 1000});
  client.logs_in();
  client.codes(kEnvelope);
  const std::string part = std::string(598, 'x') + "\r\n";
  EXPECT_EQ(codes_of(client.sends(bdat(part, false) + bdat(part))), "250 552");
  client.codes(kEnvelope);
  EXPECT_EQ(client.codes("BDAT 18446744073709551615 LAST\r\nx"), "552");
  EXPECT_TRUE(client.closed());
}

TEST(Bdat, OfAStrangerIsReadOnlyWhileSmall) {
  SessionHarness client({.mode = ListenerMode::submission});
  client.received();
  EXPECT_EQ(codes_of(client.sends(bdat(std::string(60000, 'x')))), "503");
  EXPECT_EQ(client.codes("NOOP"), "250");
  EXPECT_EQ(client.codes("BDAT 70000 LAST"), "503");
  EXPECT_TRUE(client.closed());
}

TEST(Bdat, OfAWrongLengthTurnsIntoNoCommands) {
  SessionHarness client;
  client.logs_in();
  client.codes(kEnvelope);
  // Too short by two: the octets behind are a command line, and none that exists.
  EXPECT_EQ(client.codes("BDAT 3 LAST\r\nabcde"), "250 500");
}

// --- Smuggling
// ---------------------------------------------------------------------------------------------------

constexpr std::string_view kSmuggled =
    "MAIL FROM:<evil@b.example>\r\nRCPT TO:<victim@b.example>\r\nDATA\r\nevil\r\n.\r\n";

bool is_clean(std::string_view content) {
  for (std::size_t i = 0; i < content.size(); ++i) {
    if (content[i] == '\0') return false;
    if (content[i] == '\r' && (i + 1 == content.size() || content[i + 1] != '\n')) return false;
    if (content[i] == '\n' && (i == 0 || content[i - 1] != '\r')) return false;
  }
  return true;
}

template <class F>
void each_string(std::size_t length, F use) {
  constexpr std::string_view kAlphabet("\r\n.\0a", 5);
  std::vector<std::string> words{""};
  use(words.front());
  for (std::size_t i = 0; i < length; ++i) {
    std::vector<std::string> longer;
    for (const std::string& word : words) {
      for (char c : kAlphabet) longer.push_back(word + c);
    }
    words = std::move(longer);
    for (const std::string& word : words) {
      use(word);
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

// The content of a stream by the definition alone: up to CRLF.CRLF, first dots of lines removed.
std::optional<std::string> content_of(const std::string& stream) {
  const std::string seen = "\r\n" + stream;
  const std::size_t end = seen.find("\r\n.\r\n");
  if (end == std::string::npos) return std::nullopt;
  std::string content = seen.substr(0, end + 2);
  for (std::size_t at = 0; (at = content.find("\r\n.", at)) != std::string::npos; at += 2)
    content.erase(at + 2, 1);
  return content.substr(2);
}

// What follows the string would be a second message if the string were taken for an end. It is one exactly
// where the string really holds CRLF.CRLF.
TEST(Smuggling, NoStringEndsDataButTheOneThatDoes) {
  std::size_t accepted = 0;
  each_string(6, [&](const std::string& word) {
    const std::string stream = "a" + word + std::string(kSmuggled);
    SessionHarness client;
    client.logs_in();
    client.sends(std::string(kEnvelope) + "DATA\r\n" + stream);
    const bool true_end = ("a" + word).find("\r\n.\r\n") != std::string::npos;
    const std::string content = *content_of(stream);
    const bool clean = is_clean(content);
    const std::size_t expected = (clean ? 1U : 0U) + (true_end && word.ends_with("\r\n.\r\n") ? 1U : 0U);
    ASSERT_LE(client.sink.messages.size(), expected) << testing::PrintToString(word);
    if (clean) {
      ASSERT_FALSE(client.sink.messages.empty()) << testing::PrintToString(word);
      ASSERT_EQ(client.sink.messages[0].body, content) << testing::PrintToString(word);
      ++accepted;
    }
    for (const auto& message : client.sink.messages) {
      const bool evil = message.envelope.reverse_path.local_part() == "evil";
      ASSERT_TRUE(!evil || true_end) << testing::PrintToString(word);
    }
  });
  EXPECT_GT(accepted, 10U);
}

TEST(Smuggling, NoStringLeavesAChunk) {
  std::size_t accepted = 0;
  each_string(6, [&](const std::string& word) {
    const std::string content = word + std::string(kSmuggled);
    SessionHarness client;
    client.logs_in();
    const std::string replies = client.sends(std::string(kEnvelope) + bdat(content) + "NOOP\r\n");
    ASSERT_EQ(codes_of(replies), is_clean(content) ? "250 250 250 250" : "250 250 554 250")
        << testing::PrintToString(word);
    ASSERT_EQ(client.sink.messages.size(), is_clean(content) ? 1U : 0U) << testing::PrintToString(word);
    if (is_clean(content)) {
      ASSERT_EQ(client.sink.messages[0].body, content) << testing::PrintToString(word);
      ++accepted;
    }
  });
  EXPECT_GT(accepted, 10U);
}

}  // namespace
}  // namespace holdfast
