// config/toml_reader.h — a TOML text as the flat list of assignments that the schema knows. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/config_value.h"
#include "config/diagnostic.h"

namespace holdfast {

struct Assignment {
  std::string key;
  ConfigValue value;
  Origin origin;
};

// The keys before the first table (name ""), one [table], or one element of an [[array]].
struct TomlTable {
  std::string name;
  bool element = false;
  Origin origin;  // of its header
  std::vector<Assignment> assignments;
};

struct TomlDocument {
  std::vector<TomlTable> tables;   // in the order of the file
  std::vector<Diagnostic> errors;  // at most one: the first place that is not TOML
};

// `source` is named in origins. Deeper tables and mixed arrays become OtherValue.
TomlDocument read_toml(std::string_view text, const std::string& source);

}  // namespace holdfast
