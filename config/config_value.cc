#include "config/config_value.h"

#include "config/values.h"

namespace holdfast {
namespace {

struct PrintToml {
  std::string operator()(const OtherValue& other) const { return "# " + other.what; }
  std::string operator()(bool flag) const { return flag ? "true" : "false"; }
  std::string operator()(std::int64_t number) const { return std::to_string(number); }
  std::string operator()(const std::string& text) const { return quote_toml(text); }
  std::string operator()(std::chrono::sys_days day) const { return print_date(day); }
  std::string operator()(const std::vector<std::string>& list) const {
    std::string out;
    for (const std::string& item : list) out += (out.empty() ? "" : ", ") + quote_toml(item);
    return "[" + out + "]";
  }
};

struct TypeInWords {
  std::string operator()(const OtherValue& other) const { return other.what; }
  std::string operator()(bool) const { return "true or false"; }
  std::string operator()(std::int64_t) const { return "a number"; }
  std::string operator()(const std::string&) const { return "a text"; }
  std::string operator()(const std::vector<std::string>&) const { return "a list"; }
  std::string operator()(std::chrono::sys_days) const { return "a date"; }
};

}  // namespace

std::string quote_toml(std::string_view text) {
  static constexpr char hex[] = "0123456789ABCDEF";
  std::string out = "\"";
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (u < 0x20 || u == 0x7f) {
      out += "\\u00";
      out += hex[u >> 4];
      out += hex[u & 15];
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string print_toml(const ConfigValue& value) { return std::visit(PrintToml(), value); }
std::string type_in_words(const ConfigValue& value) { return std::visit(TypeInWords(), value); }

}  // namespace holdfast
