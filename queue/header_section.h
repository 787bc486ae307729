// queue/header_section.h — the header section of a message (RFC 5322 section 2.2), field by field and
// verbatim. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "smtp/base/clock.h"
#include "smtp/base/result.h"

namespace holdfast {

// One field; both views are into the text that was parsed.
struct HeaderField {
  std::string_view name;  // as written, without white space before the colon
  std::string_view raw;   // the whole field, folded lines and final CRLF included
  // What follows the colon, folding kept, white space at both ends removed.
  std::string_view value() const;
};

// Does a line (without its CRLF) begin a field?
bool begins_field(std::string_view line);

// `text`: lines that each end in CRLF, without the empty line. Error: BaseError::malformed, naming the line.
Result<std::vector<HeaderField>> parse_header(std::string_view text);

const HeaderField* find_field(const std::vector<HeaderField>& fields, std::string_view name);
std::size_t count_fields(const std::vector<HeaderField>& fields, std::string_view name);

// A value in one line: folding removed (RFC 5322 section 2.2.3).
std::string unfold(std::string_view value);

// "Sat, 21 Nov 2026 22:01:31 +0000", RFC 5322 section 3.3.
std::string date_time(WallTime at);

}  // namespace holdfast
