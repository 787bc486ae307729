#include "mta/page/html.h"

#include <fmt/format.h>

#include <array>

#include "smtp/base/utf8.h"

namespace holdfast {

namespace {

struct Range {
  char32_t first, last;
};
// Controls, marks of direction, joiners and fillers, separators, tags and variation selectors: characters
// that show nothing, or that show other characters in another order than they stand.
constexpr std::array kInvisible{Range{0x00, 0x1f},     Range{0x7f, 0xa0},     Range{0xad, 0xad},
                                Range{0x34f, 0x34f},   Range{0x61c, 0x61c},   Range{0x115f, 0x1160},
                                Range{0x17b4, 0x17b5}, Range{0x180b, 0x180e}, Range{0x2000, 0x200f},
                                Range{0x2028, 0x202f}, Range{0x205f, 0x206f}, Range{0x3000, 0x3000},
                                Range{0x3164, 0x3164}, Range{0xfe00, 0xfe0f}, Range{0xfeff, 0xfeff},
                                Range{0xffa0, 0xffa0}, Range{0xfff0, 0xfffb}, Range{0xe0000, 0xe0fff}};

bool is_invisible(char32_t c) {
  for (const auto& range : kInvisible) {
    if (c >= range.first && c <= range.last) return true;
  }
  return false;
}

char32_t decode(std::string_view character) {
  const auto octet = [&](std::size_t i) {
    return static_cast<char32_t>(static_cast<unsigned char>(character[i]));
  };
  switch (character.size()) {
    case 1: return octet(0);
    case 2: return (octet(0) & 0x1f) << 6 | (octet(1) & 0x3f);
    case 3: return (octet(0) & 0x0f) << 12 | (octet(1) & 0x3f) << 6 | (octet(2) & 0x3f);
    default:
      return (octet(0) & 0x07) << 18 | (octet(1) & 0x3f) << 12 | (octet(2) & 0x3f) << 6 | (octet(3) & 0x3f);
  }
}

void add_character(std::string& out, std::string_view character) {
  switch (character.front()) {
    case '&': out += "&amp;"; return;
    case '<': out += "&lt;"; return;
    case '>': out += "&gt;"; return;
    case '"': out += "&quot;"; return;
    case '\'': out += "&#39;"; return;
    default: break;
  }
  const char32_t c = decode(character);
  if (is_invisible(c)) {
    out += fmt::format("[U+{:04X}]", static_cast<std::uint32_t>(c));
  } else {
    out += character;
  }
}

}  // namespace

std::string escape_html(std::string_view text, std::size_t limit) {
  std::string out;
  const bool cut = text.size() > limit;
  std::string_view rest = text.substr(0, limit);
  while (!rest.empty()) {
    const std::size_t length = utf8_length(rest);
    if (length == 0) {
      // The end of the cut may split a character, which is then no fault of the text.
      if (!cut || rest.size() > 3) out += "\xef\xbf\xbd";
      rest.remove_prefix(1);
      continue;
    }
    add_character(out, rest.substr(0, length));
    rest.remove_prefix(length);
  }
  if (cut) out += "…";
  return out;
}

Html& Html::count(std::uint64_t value) {
  text_ += count_text(value);
  return *this;
}

std::string count_text(std::uint64_t value) {
  std::string digits = std::to_string(value);
  for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, 1, ',');
  return digits;
}

std::string age_text(std::int64_t seconds) {
  if (seconds < 0) seconds = 0;
  if (seconds < 120) return fmt::format("{} s", seconds);
  if (seconds < 120 * 60) return fmt::format("{} min", seconds / 60);
  if (seconds < 48 * 3600) return fmt::format("{} h", seconds / 3600);
  return fmt::format("{} d", seconds / 86400);
}

std::string size_text(std::uint64_t octets) {
  constexpr std::array kUnits{"KiB", "MiB", "GiB", "TiB"};
  if (octets < 1024) return fmt::format("{} B", octets);
  double size = static_cast<double>(octets);
  std::size_t unit = 0;
  for (size /= 1024; size >= 1024 && unit + 1 < kUnits.size(); ++unit) size /= 1024;
  return fmt::format("{:.{}f} {}", size, size < 10 ? 1 : 0, kUnits[unit]);
}

}  // namespace holdfast
