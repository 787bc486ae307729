#include "mta/cli/config_commands.h"

#include <fmt/format.h>

#include "config/reference.h"

namespace holdfast {
namespace {

void print_diagnostic(const CommonOptions& common, const Diagnostic& diagnostic, const char* severity) {
  if (!common.json) {
    const std::string text = printable(diagnostic.print());
    return std::string_view(severity) == "error" ? complain(text) : complain("warning: " + text);
  }
  print(
      fmt::format("{{\"schema\":{},\"severity\":\"{}\",\"source\":{},\"line\":{},\"column\":{},\"key\":{},"
                  "\"text\":{}}}\n",
                  kCliSchema, severity, json_string(diagnostic.origin.source), diagnostic.origin.line,
                  diagnostic.origin.column, json_string(diagnostic.key), json_string(diagnostic.text)));
}

void print_diagnostics(const CommonOptions& common, const Loaded& loaded) {
  for (const Diagnostic& error : loaded.errors) print_diagnostic(common, error, "error");
  for (const Diagnostic& warning : loaded.warnings) print_diagnostic(common, warning, "warning");
}

}  // namespace

int config_check(const CommonOptions& common) {
  const Loaded loaded = load_config(common, true);
  print_diagnostics(common, loaded);
  if (!loaded.settings) return exit_code::configuration;
  if (!common.json) print(common.config.string() + " is sound\n");
  return exit_code::yes;
}

int config_show(const CommonOptions& common, bool origin) {
  const Loaded loaded = load_config(common, true);
  for (const Diagnostic& error : loaded.errors) complain(printable(error.print()));
  if (!loaded.settings) return exit_code::configuration;
  print(show(loaded, origin));
  return exit_code::yes;
}

int config_reference(bool markdown) {
  print(markdown ? markdown_table() : reference());
  return exit_code::yes;
}

}  // namespace holdfast
