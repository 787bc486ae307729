#include "mta/page/html.h"

#include <gtest/gtest.h>

#include <random>

#include "smtp/base/utf8.h"

namespace holdfast {
namespace {

TEST(EscapeHtml, LeavesNoMarkupInTextNorInAttributes) {
  EXPECT_EQ(escape_html("<script>alert('x')</script>"), "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;");
  EXPECT_EQ(escape_html("\" onload=\"a&b"), "&quot; onload=&quot;a&amp;b");
}

TEST(EscapeHtml, MakesWhatCannotBeSeenVisible) {
  EXPECT_EQ(escape_html("a\u202Egro.knab"), "a[U+202E]gro.knab");
  EXPECT_EQ(escape_html("\u2066x\u2069"), "[U+2066]x[U+2069]");
  EXPECT_EQ(escape_html("pay\u200Bpal"), "pay[U+200B]pal");
  EXPECT_EQ(escape_html("a\r\nb\tc\x1b[31m"), "a[U+000D][U+000A]b[U+0009]c[U+001B][31m");
  EXPECT_EQ(escape_html(std::string_view("a\0b", 3)), "a[U+0000]b");
  EXPECT_EQ(escape_html("\u0085\u00A0\u00AD\uFEFF"), "[U+0085][U+00A0][U+00AD][U+FEFF]");
  EXPECT_EQ(escape_html("\U000E0041"), "[U+E0041]");
}

TEST(EscapeHtml, KeepsOtherScriptsAsTheyAre) {
  EXPECT_EQ(escape_html("grüße 例え.テスト пример 😀 שלום"), "grüße 例え.テスト пример 😀 שלום");
}

TEST(EscapeHtml, ReplacesWhatIsNoUtf8) {
  EXPECT_EQ(escape_html("a\xff\xc0\xaf z"), "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd z");
  EXPECT_EQ(escape_html("\xe2\x80"), "\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(escape_html("\xed\xa0\x80").find('\xed'), std::string::npos);  // a surrogate
}

TEST(EscapeHtml, CutsWhatIsTooLongBetweenCharacters) {
  EXPECT_EQ(escape_html("aaaaé", 5), "aaaa…");
  EXPECT_EQ(escape_html("aaaaé", 6), "aaaaé");
  EXPECT_EQ(escape_html(std::string(255, 'x')), std::string(255, 'x'));
  EXPECT_LT(escape_html(std::string(1'000'000, '<')).size(), kMaxShown * 5);
}

TEST(EscapeHtml, LetsNoOctetsWhateverTheyAreBecomeMarkup) {
  std::mt19937 random(7);
  const std::string likely = "<>&\"'\xe2\x80\xae\xc2\x85\xf3\xa0\x81\x81\n";
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (std::size_t i = random() % 24; i > 0; --i)
      text += random() % 2 ? likely[random() % likely.size()] : static_cast<char>(random());
    const auto escaped = escape_html(text, 20);
    ASSERT_TRUE(is_utf8(escaped)) << testing::PrintToString(text);
    ASSERT_EQ(escaped.find_first_of("<>\"'"), std::string::npos) << testing::PrintToString(text);
    for (const char c : escaped)
      ASSERT_GE(static_cast<unsigned char>(c), 0x20) << testing::PrintToString(text);
    ASSERT_EQ(escaped.find("\u202e"), std::string::npos) << testing::PrintToString(text);
  }
}

TEST(Html, HasMarkupOfItsLiteralsAlone) {
  Html cell, row;
  cell << "<td title=\"";
  cell.text("a\"b") << "\">";
  cell.count(1234567) << " of ";
  cell.number(1234567) << "</td>";
  row << "<tr>";
  row.append(cell) << "</tr>";
  EXPECT_EQ(row.str(), "<tr><td title=\"a&quot;b\">1,234,567 of 1234567</td></tr>");
  EXPECT_EQ(row.take(), "<tr>" + cell.str() + "</tr>");
}

TEST(Html, SaysNumbersAgesAndSizesAsPeopleDo) {
  EXPECT_EQ(count_text(0), "0");
  EXPECT_EQ(count_text(999), "999");
  EXPECT_EQ(count_text(1000), "1,000");
  EXPECT_EQ(count_text(1234567), "1,234,567");
  EXPECT_EQ(age_text(-5), "0 s");
  EXPECT_EQ(age_text(119), "119 s");
  EXPECT_EQ(age_text(3600), "60 min");
  EXPECT_EQ(age_text(47 * 3600), "47 h");
  EXPECT_EQ(age_text(5 * 86400), "5 d");
  EXPECT_EQ(size_text(1023), "1023 B");
  EXPECT_EQ(size_text(1536), "1.5 KiB");
  EXPECT_EQ(size_text(std::uint64_t{250} << 30), "250 GiB");
}

}  // namespace
}  // namespace holdfast
