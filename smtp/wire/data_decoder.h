// smtp/wire/data_decoder.h — what follows 354: octets in, content out, up to CRLF.CRLF (RFC 5321
// section 4.5.2).
//
// Only CRLF.CRLF ends the content, however the octets are split into chunks; ".CRLF" counts at the very
// start, where the line end of the DATA command stands before it. Violations (ContentCheck) do not end it:
// the rest is still decoded, so that the reader can drain to the true end and refuse there.
#pragma once

#include <string>
#include <string_view>

#include "smtp/wire/content_check.h"

namespace holdfast {

class DataDecoder {
 public:
  // Appends the content in `in` to `out` and returns how many octets of `in` belong to the DATA stream: all
  // of them, unless the end came. What is behind is the next command.
  std::size_t decode(std::string_view in, std::string& out);

  bool finished() const { return state_ == State::finished; }
  const ContentCheck& check() const { return check_; }

 private:
  enum class State { line_start, dot, dot_cr, text, text_cr, finished };

  std::size_t take_text(std::string_view in, std::string& out);

  State state_ = State::line_start;
  ContentCheck check_;
};

}  // namespace holdfast
