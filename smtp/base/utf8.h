// smtp/base/utf8.h — the least of UTF-8 (RFC 3629) that wire and log need: is this a well-formed character?
#pragma once

#include <string_view>

namespace holdfast {

// Octets of the well-formed character at the start of `text` (1 to 4); 0 when it is malformed or empty.
// Overlong forms, surrogates and what lies above U+10FFFF are malformed.
std::size_t utf8_length(std::string_view text);

bool is_ascii(std::string_view text);
bool is_utf8(std::string_view text);

}  // namespace holdfast
