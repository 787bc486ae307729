// config/load.h — from files and environment to Settings, with every mistake found and none guessed around.
//
// Precedence: defaults < the file < conf.d/*.toml beside it, in the order of their names < the environment.
// A scalar of a later source replaces an earlier one; elements of arrays ([[user]] and so on) are appended.
//
// Environment: HOLDFAST_STS__MODE sets sts.mode, HOLDFAST_HOSTNAME the top-level hostname,
// HOLDFAST_USER__0__NAME the first [[user]]'s name. A secret NAME may come as NAME_FILE. Lists are written
// with commas. Variables with one underscore group only that name no top-level key are not ours (Kubernetes
// sets HOLDFAST_SERVICE_HOST for a service of that name) and are ignored.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "config/diagnostic.h"
#include "config/settings.h"

namespace holdfast {

struct LoadInput {
  std::filesystem::path file;
  std::map<std::string, std::string> environment;  // only HOLDFAST_… is looked at
  std::chrono::sys_days today;                     // for exceptions
  bool secrets = true;  // false: files with secrets are not opened; for commands that need none of them
  // At a reload, the running relay's: paths that derive from data_dir stay below it, whatever data_dir says.
  std::filesystem::path data_dir = {};
};

// One key that was set, or an element of an array. `section` and `index` as in the schema.
struct KeyPlace {
  std::string section;
  std::size_t index = 0;
  std::string key;  // "" = the element itself
  auto operator<=>(const KeyPlace&) const = default;
};

struct Loaded {
  SettingsPtr settings;            // null when there are errors
  std::vector<Diagnostic> errors;  // all of them, file by file from top to bottom
  std::vector<Diagnostic> warnings;
  std::map<KeyPlace, Origin> origins;            // of what is not a default
  std::map<KeyPlace, std::string> secret_paths;  // what *_file keys name
};

// Reads files; never throws for what they hold.
Loaded load_settings(const LoadInput& input);

// This process's HOLDFAST_… variables.
std::map<std::string, std::string> holdfast_environment();

}  // namespace holdfast
