// smtp/wire/xtext.h — xtext, RFC 3461 section 4: how a parameter value carries any octet.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace holdfast {

std::string xtext_encode(std::string_view plain);

// nullopt unless `encoded` is xtext: printable ASCII without '+', '=' and space, or '+' and two upper case
// hex digits.
std::optional<std::string> xtext_decode(std::string_view encoded);

}  // namespace holdfast
