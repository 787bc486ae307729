// smtp/wire/line_buffer.h — octets in, lines out. Only CRLF ends a line (RFC 5321 section 2.3.8).
//
// A line that holds a bare CR, a bare LF or a NUL comes out as an error, once, and is dropped whole up to its
// CRLF. A line over the limit is reported as soon as it is known to be too long, and dropped likewise; memory
// stays bounded by the limit and one append().
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "smtp/base/result.h"

namespace holdfast {

class LineBuffer {
 public:
  // `limit`: octets of a line without its CRLF.
  explicit LineBuffer(std::size_t limit) : limit_(limit) {}

  void append(std::string_view octets);

  // The next line without its CRLF, valid until the next call of append(), next() or take(); nullopt when
  // more octets are needed. Errors: WireError::line_too_long, bare_cr, bare_lf, nul; the next call goes on
  // behind it.
  Result<std::optional<std::string_view>> next();

  // Whether next() would yield a line or an error.
  bool has_line();

  // What was appended and not yet given out. Behind STARTTLS it must be empty: else it was injected.
  std::string_view rest() const { return std::string_view(buffer_).substr(start_); }
  // Moves up to `limit` octets of rest() out: content behind DATA or BDAT.
  std::string take(std::size_t limit);
  void drop(std::size_t count) {
    start_ += count;
    scanned_ = start_;
  }
  void clear();
  // Wipes what was given out already.
  void forget();

 private:
  std::optional<std::size_t> line_end();
  void drop_rest_of_long_line();

  std::size_t limit_;
  std::string buffer_;
  std::size_t start_ = 0;    // of what is not given out
  std::size_t scanned_ = 0;  // no line end before it
  bool discarding_ = false;  // within a line already reported as too long
};

}  // namespace holdfast
