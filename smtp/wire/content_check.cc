#include "smtp/wire/content_check.h"

#include <algorithm>
#include <cstring>

namespace holdfast {
namespace {

const char* find(const char* begin, const char* end, char c) {
  const void* at = std::memchr(begin, c, static_cast<std::size_t>(end - begin));
  return at == nullptr ? end : static_cast<const char*>(at);
}

}  // namespace

// A run without CR: whole lines of it are looked through with memchr, which beats one comparison an octet by
// far. What stands before the first LF or NUL is plain; after it the run begins anew.
void ContentCheck::feed_run(const char* begin, const char* end) {
  while (begin != end) {
    const char* lf = find(begin, end, '\n');
    const char* special = find(begin, lf, '\0');
    line_ += static_cast<std::size_t>(special - begin);
    longest_ = std::max(longest_, line_);
    at_line_start_ = false;
    if (special == end) return;
    note(*special == '\n' ? WireError::bare_lf : WireError::nul);
    ++line_;
    begin = special + 1;
  }
}

void ContentCheck::feed(std::string_view chunk) {
  const char* at = chunk.data();
  const char* const end = at + chunk.size();
  while (at != end) {
    if (after_cr_) {
      after_cr_ = false;
      if (*at == '\n') {
        line_ = 0;
        at_line_start_ = true;
        ++at;
        continue;
      }
      note(WireError::bare_cr);
      ++line_;
    }
    const char* cr = find(at, end, '\r');
    feed_run(at, cr);
    if (cr == end) return;
    at_line_start_ = false;
    after_cr_ = true;
    at = cr + 1;
  }
}

void ContentCheck::finish() {
  if (after_cr_) note(WireError::bare_cr);
}

}  // namespace holdfast
