// config/loading.h — the steps of load_settings(), which pass one Loading along. For load.cc and its parts.
#pragma once

#include "config/load.h"
#include "config/schema.h"
#include "config/toml_reader.h"

namespace holdfast {

struct Loading {
  const LoadInput& input;
  std::map<KeyPlace, Assignment> assigned;        // the winning assignment of each key
  std::map<std::string, std::size_t> elements;    // how many elements each array has
  std::map<KeyPlace, Origin> element_origins;     // their headers
  std::map<KeyPlace, std::string> secret_values;  // secrets given directly in the environment
  Settings settings;
  Loaded result;

  void error(Origin origin, std::string key, std::string text) {
    result.errors.push_back({std::move(origin), std::move(key), std::move(text)});
  }
  void warning(Origin origin, std::string key, std::string text) {
    result.warnings.push_back({std::move(origin), std::move(key), std::move(text)});
  }
  // Where the key was set; its element's header, or the file, when it was not.
  Origin origin_of(const KeyPlace& place) const;
  bool is_set(const KeyPlace& place) const { return assigned.contains(place); }
};

// "delivery.expire", "user[1].name", "hostname"
std::string dotted(const KeyPlace& place);

// environment.cc
void take_environment(Loading& loading);

// secret_file.cc: reads the files that secret keys name into the settings.
void read_secrets(Loading& loading);

// cross_check.cc: fills what is derived from other keys, then checks what no key can check alone.
void derive_settings(Loading& loading);
void cross_check(Loading& loading);

}  // namespace holdfast
