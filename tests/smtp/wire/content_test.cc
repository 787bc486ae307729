// Dot stuffing and its inverse, and what content may hold: over every short string and every split.
#include <gtest/gtest.h>

#include "smtp/wire/data_decoder.h"
#include "smtp/wire/dot_stuffer.h"

namespace holdfast {
namespace {

const std::string kAlphabet("\r\n.\0a", 5);

// Calls `use` for every string over the smuggling alphabet up to `length`.
template <class F>
void each_string(std::size_t length, F use) {
  std::vector<std::string> words{""};
  use(words.front());
  for (std::size_t i = 0; i < length; ++i) {
    std::vector<std::string> longer;
    for (const std::string& word : words) {
      for (char c : kAlphabet) longer.push_back(word + c);
    }
    words = std::move(longer);
    for (const std::string& word : words) use(word);
  }
}

struct Decoded {
  std::string content;
  std::size_t used = 0;
  bool finished = false;
  std::optional<WireError> violation;
  bool operator==(const Decoded&) const = default;
};

Decoded decode(std::string_view stream, std::size_t chunk) {
  DataDecoder decoder;
  Decoded result;
  while (result.used < stream.size() && !decoder.finished()) {
    result.used += decoder.decode(stream.substr(result.used, chunk), result.content);
  }
  result.finished = decoder.finished();
  result.violation = decoder.check().violation();
  return result;
}

// What is wrong with content, said in the simplest way.
bool is_clean(std::string_view content) {
  for (std::size_t i = 0; i < content.size(); ++i) {
    if (content[i] == '\0') return false;
    if (content[i] == '\r' && (i + 1 == content.size() || content[i + 1] != '\n')) return false;
    if (content[i] == '\n' && (i == 0 || content[i - 1] != '\r')) return false;
  }
  return true;
}

TEST(DataDecoder, DropsStuffedDotsAndEndsAtTheLoneDot) {
  const Decoded decoded = decode("one\r\n..two\r\n.three\r\n.\r\nQUIT\r\n", 1000);
  EXPECT_EQ(decoded.content, "one\r\n.two\r\nthree\r\n");
  EXPECT_TRUE(decoded.finished);
  EXPECT_EQ(decoded.used, 23U);
  EXPECT_EQ(decoded.violation, std::nullopt);
}

TEST(DataDecoder, EndsAtOnceForAnEmptyMessage) {
  EXPECT_TRUE(decode(".\r\n", 1).finished);
  EXPECT_EQ(decode(".\r\n", 1).content, "");
}

// The end is the first CRLF.CRLF, where the CRLF of the DATA command counts, and nothing else.
TEST(DataDecoder, FindsTheOneTrueEndInEveryString) {
  each_string(7, [](const std::string& stream) {
    const std::string seen = "\r\n" + stream;
    const std::size_t end = seen.find("\r\n.\r\n");
    const Decoded decoded = decode(stream, stream.size() + 1);
    ASSERT_EQ(decoded.finished, end != std::string::npos) << testing::PrintToString(stream);
    if (decoded.finished) {
      ASSERT_EQ(decoded.used, end + 3) << testing::PrintToString(stream);
      ASSERT_EQ(decoded.violation == std::nullopt, is_clean(stream.substr(0, end)))
          << testing::PrintToString(stream);
    }
  });
}

TEST(DataDecoder, DecodesTheSameForEverySplit) {
  each_string(6, [](const std::string& stream) {
    const Decoded whole = decode(stream, stream.size() + 1);
    for (std::size_t chunk = 1; chunk < stream.size(); ++chunk) {
      ASSERT_EQ(decode(stream, chunk), whole) << testing::PrintToString(stream) << " by " << chunk;
    }
  });
}

// Content is looked through by blocks: what stands at the edge of one, or fills several, must not be seen
// otherwise than octet by octet.
TEST(DataDecoder, DecodesTheSameWhereverTheOctetsStandInALongText) {
  each_string(5, [](const std::string& odd) {
    for (const std::size_t before : {0U, 1U, 30U, 59U, 60U, 61U, 62U, 63U, 64U, 65U, 126U, 127U, 128U}) {
      for (const std::size_t behind : {0U, 3U, 70U}) {
        const std::string stream = std::string(before, 'b') + odd + std::string(behind, '.');
        ASSERT_EQ(decode(stream, stream.size() + 1), decode(stream, 1)) << testing::PrintToString(stream);
      }
    }
  });
}

TEST(ContentCheck, SeesTheSameWhereverTheOctetsStandInALongText) {
  each_string(5, [](const std::string& odd) {
    for (const std::size_t before : {0U, 1U, 30U, 59U, 60U, 61U, 62U, 63U, 64U, 65U, 126U, 127U, 128U}) {
      const std::string text = "\r\n" + std::string(before, 'b') + odd + std::string(70, 'a') + odd;
      ContentCheck whole, single;
      whole.feed(text);
      for (const char c : text) single.feed(std::string_view(&c, 1));
      whole.finish();
      single.finish();
      ASSERT_EQ(whole.violation() == std::nullopt, is_clean(text)) << testing::PrintToString(text);
      ASSERT_EQ(whole.violation(), single.violation()) << testing::PrintToString(text);
      ASSERT_EQ(whole.longest_line(), single.longest_line()) << testing::PrintToString(text);
      ASSERT_EQ(whole.at_line_start(), single.at_line_start()) << testing::PrintToString(text);
    }
  });
}

// What we send holds exactly one CRLF.CRLF, at its end, and says to any peer what the content was.
TEST(DotStuffer, RoundTripsCleanContentAndRefusesTheRest) {
  std::size_t sent = 0;
  each_string(7, [&](const std::string& content) {
    DotStuffer stuffer;
    std::string wire = "\r\n";
    Result<void> result = stuffer.stuff(content, wire);
    if (result) result = stuffer.finish(wire);
    ASSERT_EQ(result.has_value(), is_clean(content)) << testing::PrintToString(content);
    if (!result) return;
    ++sent;
    ASSERT_EQ(wire.find("\r\n.\r\n"), wire.size() - 5) << testing::PrintToString(content);
    const bool complete = content.empty() || content.ends_with("\r\n");
    const Decoded decoded = decode(wire.substr(2), wire.size());
    ASSERT_EQ(decoded.content, complete ? content : content + "\r\n") << testing::PrintToString(content);
    for (std::size_t i = 0; i + 1 < wire.size(); ++i) {
      ASSERT_TRUE(wire[i + 1] != '\n' || wire[i] == '\r') << testing::PrintToString(content);
    }
  });
  EXPECT_GT(sent, 100U);
}

TEST(DotStuffer, SendsTheSameForEverySplit) {
  each_string(6, [](const std::string& content) {
    std::string whole;
    DotStuffer one;
    const bool sound = one.stuff(content, whole) && one.finish(whole);
    for (std::size_t chunk = 1; chunk < content.size(); ++chunk) {
      DotStuffer stuffer;
      std::string wire;
      bool taken = true;
      for (std::size_t at = 0; at < content.size() && taken; at += chunk) {
        taken = stuffer.stuff(std::string_view(content).substr(at, chunk), wire).has_value();
      }
      taken = taken && stuffer.finish(wire).has_value();
      ASSERT_EQ(taken, sound) << testing::PrintToString(content) << " by " << chunk;
      ASSERT_TRUE(!sound || wire == whole) << testing::PrintToString(content) << " by " << chunk;
    }
  });
}

TEST(ContentCheck, MeasuresLinesThatEndWithinOneBlockAndLinesOfManyBlocks) {
  for (std::size_t length = 0; length < 300; ++length) {
    ContentCheck check;
    check.feed("\r\n\r\n" + std::string(length, 'x') + "\r\n" + std::string(length / 2, 'y') + "\r\n\r\n" +
               std::string(length / 3, 'z') + "\r\n");
    EXPECT_EQ(check.longest_line(), length);
    EXPECT_TRUE(check.at_line_start());
  }
}

TEST(ContentCheck, MeasuresTheLongestLine) {
  ContentCheck check;
  check.feed("abc\r\nab");
  check.feed("cde\r");
  check.feed("\nxyz");
  EXPECT_EQ(check.longest_line(), 5U);
  EXPECT_FALSE(check.at_line_start());
  check.feed("\r\n");
  EXPECT_TRUE(check.at_line_start());
}

}  // namespace
}  // namespace holdfast
