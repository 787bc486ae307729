#include "smtp/wire/line_buffer.h"

#include <gtest/gtest.h>

#include "smtp/wire/wire_error.h"

namespace holdfast {
namespace {

// All that the buffer yields for `chunks`: lines as they are, errors as "!category text".
std::vector<std::string> lines(std::vector<std::string> chunks, std::size_t limit = 10) {
  LineBuffer buffer(limit);
  std::vector<std::string> out;
  for (const std::string& chunk : chunks) {
    buffer.append(chunk);
    while (true) {
      const bool expected = buffer.has_line();
      auto line = buffer.next();
      EXPECT_EQ(expected, !line || *line);
      if (line && !*line) break;
      out.push_back(line ? std::string(**line) : "!" + line.error().code.message());
    }
  }
  return out;
}

using Lines = std::vector<std::string>;

TEST(LineBuffer, GivesWholeLines) {
  EXPECT_EQ(lines({"one\r\ntwo\r\nthr", "ee\r\n\r\n"}), (Lines{"one", "two", "three", ""}));
}

TEST(LineBuffer, EndsLinesOnlyByCrlf) {
  EXPECT_EQ(lines({"a\nb\r\nc\r\n"}), (Lines{"!LF without CR", "c"}));
  EXPECT_EQ(lines({"a\rb\r\nc\r\n"}), (Lines{"!CR without LF", "c"}));
  EXPECT_EQ(lines({std::string("a\0b\r\nc\r\n", 8)}), (Lines{"!NUL octet", "c"}));
  EXPECT_EQ(lines({"a\r\r\nc\r\n"}), (Lines{"!CR without LF", "c"}));
  EXPECT_EQ(lines({"\n"}), Lines{});
}

TEST(LineBuffer, ReportsALongLineOnceAndGoesOnBehindIt) {
  EXPECT_EQ(lines({"0123456789\r\n"}), Lines{"0123456789"});
  EXPECT_EQ(lines({"0123456789a\r\nb\r\n"}), (Lines{"!line too long", "b"}));
  EXPECT_EQ(lines({"0123456789a", "more and more", "\r", "\nb\r\n"}), (Lines{"!line too long", "b"}));
}

TEST(LineBuffer, KeepsALongLineOutOfMemory) {
  LineBuffer buffer(10);
  for (int i = 0; i < 100; ++i) {
    buffer.append(std::string(1000, 'x'));
    auto line = buffer.next();
    EXPECT_EQ(line.has_error(), i == 0);
    EXPECT_LE(buffer.rest().size(), 10U);
  }
}

TEST(LineBuffer, ShowsWhatLiesBehindALine) {
  LineBuffer buffer(10);
  buffer.append("STARTTLS\r\nEHLO x\r\n");
  EXPECT_EQ(**buffer.next(), "STARTTLS");
  EXPECT_EQ(buffer.rest(), "EHLO x\r\n");
  EXPECT_EQ(buffer.take(4), "EHLO");
  EXPECT_EQ(buffer.rest(), " x\r\n");
  buffer.clear();
  EXPECT_EQ(buffer.rest(), "");
}

TEST(LineBuffer, YieldsTheSameForAnySplit) {
  const std::string alphabet("\r\na\0", 4);
  for (std::size_t length = 1; length <= 6; ++length) {
    std::size_t count = 1;
    for (std::size_t i = 0; i < length; ++i) count *= alphabet.size();
    for (std::size_t n = 0; n < count; ++n) {
      std::string text;
      for (std::size_t i = 0, rest = n; i < length; ++i, rest /= alphabet.size())
        text += alphabet[rest % alphabet.size()];
      const Lines whole = lines({text}, 2);
      std::vector<std::string> octets;
      for (char c : text) octets.emplace_back(1, c);
      // A long line is told early when it comes slowly, so only the number and the sound lines must agree.
      const Lines split = lines(octets, 2);
      ASSERT_EQ(whole.size() <= split.size(), true);
      Lines sound_whole, sound_split;
      for (const auto& line : whole)
        if (line[0] != '!') sound_whole.push_back(line);
      for (const auto& line : split)
        if (line[0] != '!') sound_split.push_back(line);
      ASSERT_EQ(sound_whole, sound_split) << testing::PrintToString(text);
    }
  }
}

}  // namespace
}  // namespace holdfast
