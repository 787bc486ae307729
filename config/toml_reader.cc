#include "config/toml_reader.h"

#include <algorithm>

#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include <toml++/toml.h>
#pragma GCC diagnostic pop

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

bool before(const Origin& a, const Origin& b) {
  return a.line != b.line ? a.line < b.line : a.column < b.column;
}

}  // namespace

TomlDocument read_toml(std::string_view text, const std::string& source) {
  TomlDocument document;
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
