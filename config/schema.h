// config/schema.h — every key of the configuration: the one source of names, defaults, bounds and
// explanations.
//
// The loader, `config reference`, `config show` and the README's table are all made from schema().
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config_value.h"
#include "config/settings.h"

namespace holdfast {

enum class KeyKind {
  boolean,
  integer,
  text,
  path,         // a relative one starts from the directory of the configuration file
  secret_file,  // a path whose content, without its last line end, is the secret
  list,
  date,
};

struct Key {
  std::string name;
  KeyKind kind = KeyKind::text;
  ConfigValue fallback;   // the default
  std::string form;       // what may be written: "1 to 65535", "enforce | observe | off"
  std::string sentence;   // what it does; shown in reference and README
  std::string example;    // TOML for the reference where the default explains nothing
  bool required = false;  // has no default
  bool secret = false;    // the value itself is masked when shown; may come from NAME_FILE in the environment

  // `part` is the section's struct. set() yields what is wrong with the value, or "".
  std::function<std::string(void* part, const ConfigValue& value)> set;
  std::function<ConfigValue(const void* part)> get;  // null: the struct does not keep what was written
  std::function<void(void* part, std::string content)> set_secret;  // of a secret_file

  Key& must() { return required = true, *this; }
  Key& masked() { return secret = true, *this; }
  Key& such_as(std::string toml) { return example = std::move(toml), *this; }
};

// A table of the file, or an array of tables.
struct Section {
  std::string name;  // "" = the keys before the first table
  bool array = false;
  std::string sentence;
  std::vector<Key> keys;
  std::function<std::size_t(const Settings&)> size;  // of an array; 1 otherwise
  std::function<void(Settings&)> append;             // arrays only
  std::function<void*(Settings&, std::size_t)> part;

  const void* part_of(const Settings& settings, std::size_t index) const {
    return part(const_cast<Settings&>(settings), index);  // read only: the pointer is const again
  }
  const Key* find(std::string_view key) const;
};

const std::vector<Section>& schema();
const Section* find_section(std::string_view name);

// Every default; no array has elements, and what the loader derives is empty.
Settings default_settings();
// Gives a new element of an array its defaults.
void set_defaults(const Section& section, void* part);

}  // namespace holdfast
