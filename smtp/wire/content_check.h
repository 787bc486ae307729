// smtp/wire/content_check.h — what message content may not hold: a CR or LF that is not part of CRLF, or a
// NUL (RFC 5321 section 2.3.8, RFC 5322 section 2.3). Such octets are how a message is smuggled past a hop
// that reads line ends in another way; they are refused on the way in and on the way out.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "smtp/wire/wire_error.h"

namespace holdfast {

class ContentCheck {
 public:
  // Any split of the content into chunks gives the same result.
  void feed(std::string_view chunk);
  // The content ends: a CR at its very end is bare.
  void finish();

  // The first violation, kept.
  std::optional<WireError> violation() const { return violation_; }
  // Octets of the longest line so far, without its CRLF.
  std::size_t longest_line() const { return longest_; }
  // The content so far is empty or ends in CRLF.
  bool at_line_start() const { return at_line_start_; }

 private:
  bool feed_block(const char* block);
  void feed_octets(std::string_view octets);
  void end_line(std::size_t rest);
  void end_inner_lines(std::uint64_t lf, std::size_t begin);
  void note(WireError error) {
    if (!violation_) violation_ = error;
  }

  std::optional<WireError> violation_;
  std::size_t longest_ = 0;
  std::size_t line_ = 0;  // octets of the current line
  bool after_cr_ = false;
  bool at_line_start_ = true;
};

}  // namespace holdfast
