#include "smtp/wire/xtext.h"

namespace holdfast {
namespace {

constexpr std::string_view kHex = "0123456789ABCDEF";

bool is_xchar(char c) { return c >= 33 && c <= 126 && c != '+' && c != '='; }

}  // namespace

std::string xtext_encode(std::string_view plain) {
  std::string encoded;
  for (char c : plain) {
    if (is_xchar(c)) {
      encoded += c;
      continue;
    }
    const auto octet = static_cast<unsigned char>(c);
    encoded += '+';
    encoded += kHex[octet >> 4];
    encoded += kHex[octet & 15];
  }
  return encoded;
}

std::optional<std::string> xtext_decode(std::string_view encoded) {
  std::string plain;
  for (std::size_t i = 0; i < encoded.size(); ++i) {
    if (is_xchar(encoded[i])) {
      plain += encoded[i];
      continue;
    }
    if (encoded[i] != '+' || i + 2 >= encoded.size()) return std::nullopt;
    const std::size_t high = kHex.find(encoded[i + 1]);
    const std::size_t low = kHex.find(encoded[i + 2]);
    if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
    plain += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return plain;
}

}  // namespace holdfast
