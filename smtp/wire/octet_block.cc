#include "smtp/wire/octet_block.h"

#include <bit>

namespace holdfast {

std::size_t find_pair(std::string_view text, char first, char second, std::size_t from) {
  std::size_t at = from;
  for (; at + kOctetBlock < text.size(); at += kOctetBlock) {
    const char* block = text.data() + at;
    const std::uint64_t found = positions_of(first, block) & positions_of(second, block + 1);
    if (found != 0) return at + static_cast<std::size_t>(std::countr_zero(found));
  }
  for (; at + 1 < text.size(); ++at) {
    if (text[at] == first && text[at + 1] == second) return at;
  }
  return std::string_view::npos;
}

}  // namespace holdfast
