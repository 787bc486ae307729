#include "config/toml_reader.h"

#include <algorithm>

// toml++ 3.3 takes for granted that a table header begins with a key: "[=" fails an assertion or, worse, is
// promised to the optimiser never to be. Without either, its own check behind it finds the mistake.
#pragma push_macro("NDEBUG")
#undef NDEBUG
#define TOML_ASSERT(expression) static_cast<void>(0)
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include <toml++/impl/forward_declarations.h>
// Its table of Unicode white space runs into this for U+02D9 and others: they are none.
#undef TOML_UNREACHABLE
#define TOML_UNREACHABLE return false
#include <toml++/impl/unicode.h>
#undef TOML_UNREACHABLE
#define TOML_UNREACHABLE __builtin_unreachable()
#include <toml++/toml.h>
#pragma GCC diagnostic pop
#pragma pop_macro("NDEBUG")

namespace holdfast {
namespace {

Origin origin_of(const toml::source_region& region, const std::string& source) {
  return {source, static_cast<unsigned>(region.begin.line), static_cast<unsigned>(region.begin.column)};
}

ConfigValue list_of(const toml::array& array) {
  std::vector<std::string> items;
  for (const toml::node& item : array) {
    const auto* text = item.as_string();
    if (!text)
      return OtherValue{item.is_table() ? "an array of tables" : "a list of something else than texts"};
    items.push_back(text->get());
  }
  return items;
}

ConfigValue value_of(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return number->get();
  if (const auto* flag = node.as_boolean()) return flag->get();
  if (const auto* array = node.as_array()) return list_of(*array);
  if (const auto* date = node.as_date()) {
    const toml::date& d = date->get();
    return std::chrono::sys_days(std::chrono::year(d.year) / std::chrono::month(d.month) /
                                 std::chrono::day(d.day));
  }
  if (node.is_floating_point()) return OtherValue{"a number with a fraction"};
  if (node.is_table()) return OtherValue{"a table"};
  return OtherValue{"a time"};
}

void read_table(const toml::table& table, TomlTable& out, const std::string& source) {
  for (const auto& [key, node] : table)
    out.assignments.push_back({std::string(key.str()), value_of(node), origin_of(key.source(), source)});
}

// The first octet that no TOML text holds, wherever it stands: toml++ meets some of them with an assertion.
std::optional<Diagnostic> find_control(std::string_view text, const std::string& source) {
  Origin at{source, 1, 1};
  for (const char c : text) {
    if ((c >= 0 && c < ' ' && c != '\t' && c != '\n' && c != '\r') || c == 0x7f) {
      return Diagnostic{
          at, "", "not valid TOML: a control character (octet " + std::to_string(static_cast<int>(c)) + ")"};
    }
    ++at.column;
    if (c == '\n') at = {source, at.line + 1, 1};
  }
  return std::nullopt;
}

bool before(const Origin& a, const Origin& b) {
  return a.line != b.line ? a.line < b.line : a.column < b.column;
}

}  // namespace

TomlDocument read_toml(std::string_view text, const std::string& source) {
  TomlDocument document;
  if (auto control = find_control(text, source)) {
    document.errors.push_back(std::move(*control));
    return document;
  }
  const toml::parse_result parsed = toml::parse(text);
  if (!parsed) {
    const toml::parse_error& error = parsed.error();
    document.errors.push_back(
        {origin_of(error.source(), source), "", "not valid TOML: " + std::string(error.description())});
    return document;
  }
  TomlTable top{"", false, {source, 1, 1}, {}};
  for (const auto& [key, node] : parsed.table()) {
    const std::string name(key.str());
    const auto* array = node.as_array();
    if (const auto* table = node.as_table()) {
      TomlTable& out =
          document.tables.emplace_back(TomlTable{name, false, origin_of(key.source(), source), {}});
      read_table(*table, out, source);
    } else if (array && !array->empty() && array->is_array_of_tables()) {
      for (const toml::node& element : *array) {
        TomlTable& out =
            document.tables.emplace_back(TomlTable{name, true, origin_of(element.source(), source), {}});
        read_table(*element.as_table(), out, source);
      }
    } else {
      top.assignments.push_back({name, value_of(node), origin_of(key.source(), source)});
    }
  }
  document.tables.push_back(std::move(top));
  // toml++ sorts by name; people read errors from top to bottom.
  const auto by_place = [](const auto& a, const auto& b) { return before(a.origin, b.origin); };
  std::stable_sort(document.tables.begin(), document.tables.end(), by_place);
  for (TomlTable& table : document.tables)
    std::stable_sort(table.assignments.begin(), table.assignments.end(), by_place);
  return document;
}

}  // namespace holdfast
