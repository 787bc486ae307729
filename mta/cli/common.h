// mta/cli/common.h — what every command has at hand: where to write, the configuration, the exit codes.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "config/load.h"
#include "mta/cli/exit_code.h"
#include "mta/json_text.h"

namespace holdfast {

inline constexpr const char* kDefaultConfig = "/etc/holdfast/holdfast.toml";
inline constexpr int kCliSchema = 1;  // of the JSON lines that the commands make themselves

struct CommonOptions {
  std::filesystem::path config = kDefaultConfig;
  std::filesystem::path socket;  // "" = admin.socket of the configuration
  bool json = false;
};

void print(std::string_view text);      // to standard output
bool print_all(std::string_view text);  // the same; false when it could not be written
void complain(std::string_view text);   // "holdfast: text" to standard error
bool stdout_is_terminal();
bool stdin_is_terminal();

// Asks on the terminal; false also when there is none to ask.
bool confirm(const std::string& question);

// Control characters, line ends and marks that turn the direction of writing become "?": what a peer or a
// client sent must not command the terminal.
std::string printable(std::string_view text);

// The configuration, with its errors and warnings told on standard error; null when it is faulty.
// Without `secrets` the files of secrets stay closed.
Loaded load_config(const CommonOptions& options, bool secrets);
SettingsPtr need_settings(const CommonOptions& options, bool secrets);

// "today" or "2026-11-21".
bool is_day(std::string_view text);

}  // namespace holdfast
