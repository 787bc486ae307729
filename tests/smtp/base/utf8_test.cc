#include "smtp/base/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace holdfast {
namespace {

TEST(Utf8, RefusesMalformedCharacters) {
  for (const char* text : {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xED\xA0\x80", "\xF0\x80\x80\x80",
                           "\xF4\x90\x80\x80", "\xF5", "\xC3", "\xE2\x82", "\xFF"}) {
    EXPECT_FALSE(is_utf8(text));
  }
  EXPECT_TRUE(is_utf8("a\xC3\xBC\xE2\x82\xAC\xF0\x9F\x90\x9F"));
}

TEST(Utf8, FindsAnOctetThatIsNotAsciiWhereverItStands) {
  for (std::size_t size = 0; size < 40; ++size) {
    EXPECT_TRUE(is_ascii(std::string(size, '\x7f')));
    for (std::size_t at = 0; at < size; ++at) {
      std::string text(size, 'a');
      text[at] = '\x80';
      EXPECT_FALSE(is_ascii(text)) << size << ' ' << at;
    }
  }
}

}  // namespace
}  // namespace holdfast
