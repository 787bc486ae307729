// mta/cli/command_info.h — the command tree as data, from which completions and the manual are printed. Pure.
#pragma once

#include <string>
#include <vector>

namespace holdfast {

struct OptionInfo {
  std::vector<std::string> names;  // "-c", "--config"; empty = positional
  std::string value;               // "FILE"; empty = a flag
  std::string description;
  bool is_file = false;  // completes with file names
  bool required = false;
};

struct CommandInfo {
  std::string name;
  std::string description;
  std::vector<OptionInfo> options;
  std::vector<CommandInfo> commands;
};

// `shell`: bash, zsh or fish; "" for any other.
std::string completion_script(const CommandInfo& root, const std::string& shell);

// A manual page in man(7) format.
std::string manual_page(const CommandInfo& root, const std::string& version);

// "| command | does |" per command; the README holds the same table.
std::string command_table(const CommandInfo& root);

}  // namespace holdfast
