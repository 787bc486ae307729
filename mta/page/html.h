// mta/page/html.h — HTML as text, made so that nothing but our own words can be markup.
//
// Everything that is not a literal of this program passes escape_html(): what peers, clients and DNS said
// reaches the page as visible text and as nothing else.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace holdfast {

inline constexpr std::size_t kMaxShown = 600;  // octets of one value; a page is for people

// For text and for attribute values in double quotes. Malformed UTF-8, control characters and characters that
// cannot be seen or that turn the direction of writing become visible: "[U+202E]".
std::string escape_html(std::string_view text, std::size_t limit = kMaxShown);

// Markup: can be made of a literal only.
class Markup {
 public:
  consteval Markup(const char* literal) : text(literal) {}
  const std::string_view text;
};

class Html {
 public:
  Html& operator<<(Markup markup) {
    text_ += markup.text;
    return *this;
  }
  Html& text(std::string_view value) {
    text_ += escape_html(value);
    return *this;
  }
  Html& number(std::uint64_t value) {
    text_ += std::to_string(value);
    return *this;
  }
  Html& count(std::uint64_t value);  // for people: "12,345"
  Html& append(const Html& other) {
    text_ += other.text_;
    return *this;
  }
  const std::string& str() const { return text_; }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

std::string count_text(std::uint64_t value);
// "45 s", "12 min", "3 h", "5 d".
std::string age_text(std::int64_t seconds);
// "1.2 MiB".
std::string size_text(std::uint64_t octets);

}  // namespace holdfast
