// mta/json_text.h — a text as a JSON string.
#pragma once

#include <string>
#include <string_view>

namespace holdfast {

std::string json_string(std::string_view text);  // with quotes, escaped

}  // namespace holdfast
