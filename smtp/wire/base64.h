// smtp/wire/base64.h — base64, RFC 4648 section 4, strict: one text for one value.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace holdfast {

std::string base64_encode(std::string_view octets);

// nullopt for anything but canonical base64: no white space, padding where it belongs, unused bits zero.
std::optional<std::string> base64_decode(std::string_view text);

}  // namespace holdfast
