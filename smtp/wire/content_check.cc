#include "smtp/wire/content_check.h"

#include <algorithm>
#include <bit>

#include "smtp/wire/octet_block.h"

namespace holdfast {

void ContentCheck::feed(std::string_view chunk) {
  while (chunk.size() >= kOctetBlock) {
    const std::string_view block = chunk.substr(0, kOctetBlock);
    if (!feed_block(block.data())) feed_octets(block);
    chunk.remove_prefix(kOctetBlock);
  }
  feed_octets(chunk);
}

// Takes a block that holds no violation; leaves another untouched.
bool ContentCheck::feed_block(const char* block) {
  const std::uint64_t cr = positions_of('\r', block);
  const std::uint64_t lf = positions_of('\n', block);
  // Behind every CR an LF, before every LF a CR; a CR that is the last octet waits for the next block.
  if (lf != (cr << 1 | std::uint64_t{after_cr_}) || positions_of('\0', block) != 0) return false;
  after_cr_ = cr >> 63 != 0;
  at_line_start_ = lf >> 63 != 0;
  std::size_t begin = 0;  // of the octets that belong to no line yet
  if (lf != 0) {
    const auto first = static_cast<std::size_t>(std::countr_zero(lf));
    end_line(first == 0 ? 0 : first - 1);  // without its CR
    begin = kOctetBlock - static_cast<std::size_t>(std::countl_zero(lf));
    if (longest_ < kOctetBlock) end_inner_lines(lf, first + 1);
  }
  line_ += kOctetBlock - begin - (after_cr_ ? 1 : 0);
  longest_ = std::max(longest_, line_);
  return true;
}

void ContentCheck::end_line(std::size_t rest) {
  longest_ = std::max(longest_, line_ + rest);
  line_ = 0;
}

// The lines that begin and end within one block, at the LFs of `lf` from `begin` on.
void ContentCheck::end_inner_lines(std::uint64_t lf, std::size_t begin) {
  for (lf &= lf - 1; lf != 0; lf &= lf - 1) {
    const auto end = static_cast<std::size_t>(std::countr_zero(lf));
    end_line(end - 1 - begin);
    begin = end + 1;
  }
}

void ContentCheck::feed_octets(std::string_view octets) {
  for (const char c : octets) {
    if (after_cr_) {
      after_cr_ = false;
      if (c == '\n') {
        line_ = 0;
        at_line_start_ = true;
        continue;
      }
      note(WireError::bare_cr);
      ++line_;
    }
    at_line_start_ = false;
    after_cr_ = c == '\r';
    if (after_cr_) continue;
    if (c == '\n') note(WireError::bare_lf);
    if (c == '\0') note(WireError::nul);
    longest_ = std::max(longest_, ++line_);
  }
}

void ContentCheck::finish() {
  if (after_cr_) note(WireError::bare_cr);
}

}  // namespace holdfast
