#include "mta/cli/common.h"

#include <unistd.h>

#include <cstdio>
#include <iostream>

#include "config/values.h"
#include "smtp/base/log.h"

namespace holdfast {

void print(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); }

bool print_all(std::string_view text) {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
}

void complain(std::string_view text) {
  const std::string line = "holdfast: " + std::string(text) + "\n";
  std::fflush(stdout);  // what was said before stays before it, also when both go to one file
  std::fwrite(line.data(), 1, line.size(), stderr);
}

bool stdout_is_terminal() { return isatty(STDOUT_FILENO) == 1; }
bool stdin_is_terminal() { return isatty(STDIN_FILENO) == 1; }

bool confirm(const std::string& question) {
  if (!stdin_is_terminal() || isatty(STDERR_FILENO) != 1) return false;
  std::cerr << question << " [y/N] " << std::flush;
  std::string answer;
  return std::getline(std::cin, answer) && (answer == "y" || answer == "yes");
}

std::string printable(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const auto next = [&](std::size_t n) {
      return i + n < text.size() ? static_cast<unsigned char>(text[i + n]) : 0U;
    };
    // U+0080 to U+009F; U+200E, U+200F, U+2028 to U+202E; U+2066 to U+2069.
    const bool c1 = c == 0xc2 && next(1) >= 0x80 && next(1) <= 0x9f;
    const bool direction =
        c == 0xe2 &&
        ((next(1) == 0x80 && (next(2) == 0x8e || next(2) == 0x8f || (next(2) >= 0xa8 && next(2) <= 0xae))) ||
         (next(1) == 0x81 && next(2) >= 0xa6 && next(2) <= 0xa9));
    if (c < 0x20 || c == 0x7f || c1 || direction) {
      out += '?';
      i += c1 ? 1 : direction ? 2 : 0;
    } else {
      out += text[i];
    }
  }
  return out;
}

Loaded load_config(const CommonOptions& options, bool secrets) {
  LoadInput input;
  input.file = options.config;
  input.environment = holdfast_environment();
  input.today = std::chrono::floor<std::chrono::days>(std::chrono::system_clock::now());
  input.secrets = secrets;
  return load_settings(input);
}

SettingsPtr need_settings(const CommonOptions& options, bool secrets) {
  const Loaded loaded = load_config(options, secrets);
  for (const Diagnostic& error : loaded.errors) complain(printable(error.print()));
  return loaded.settings;
}

bool is_day(std::string_view text) { return text == "today" || parse_date(text).has_value(); }

}  // namespace holdfast
