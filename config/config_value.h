// config/config_value.h — a value as the operator wrote it, before a key gives it a meaning. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace holdfast {

// A TOML value of which no key makes use; `what` names it: "a number with a fraction", "a table".
struct OtherValue {
  std::string what;
  bool operator==(const OtherValue&) const = default;
};

using ConfigValue = std::variant<OtherValue, bool, std::int64_t, std::string, std::vector<std::string>,
                                 std::chrono::sys_days>;

// As TOML has it: `true`, `25`, `"5m"`, `["a", "b"]`, `2026-12-01`.
std::string print_toml(const ConfigValue& value);
std::string quote_toml(std::string_view text);

// "a text", "a whole number", …: for messages about the wrong type.
std::string type_in_words(const ConfigValue& value);

}  // namespace holdfast
