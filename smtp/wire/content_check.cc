#include "smtp/wire/content_check.h"

#include <algorithm>

namespace holdfast {

void ContentCheck::feed(std::string_view chunk) {
  constexpr std::string_view kSpecial("\r\n\0", 3);
  while (!chunk.empty()) {
    if (after_cr_) {
      after_cr_ = false;
      if (chunk.front() == '\n') {
        line_ = 0;
        at_line_start_ = true;
        chunk.remove_prefix(1);
        continue;
      }
      note(WireError::bare_cr);
      ++line_;
    }
    const std::size_t plain = std::min(chunk.find_first_of(kSpecial), chunk.size());
    line_ += plain;
    longest_ = std::max(longest_, line_);
    if (plain > 0) at_line_start_ = false;
    chunk.remove_prefix(plain);
    if (chunk.empty()) return;
    at_line_start_ = false;
    after_cr_ = chunk.front() == '\r';
    if (!after_cr_) {
      note(chunk.front() == '\n' ? WireError::bare_lf : WireError::nul);
      ++line_;
    }
    chunk.remove_prefix(1);
  }
}

void ContentCheck::finish() {
  if (after_cr_) note(WireError::bare_cr);
}

}  // namespace holdfast
