#include "mta/cli/cli.h"

#include <CLI/CLI.hpp>

#include "mta/cli/command_tree.h"

namespace holdfast {
namespace {

// Names the first word that is no command, which CLI11 reports only as a missing one.
void suggest(const CommandInfo& root, int argc, const char* const* argv) {
  const CommandInfo* at = &root;
  for (int i = 1; i < argc && !at->commands.empty(); ++i) {
    const std::string word = argv[i];
    if (word.starts_with('-')) return;
    std::vector<std::string> names;
    const CommandInfo* next = nullptr;
    for (const CommandInfo& child : at->commands) {
      names.push_back(child.name);
      if (child.name == word) next = &child;
    }
    if (!next) {
      const std::string near = nearest(word, names);
      return complain("there is no command \"" + printable(word) + "\"" +
                      (near.empty() ? "" : "; did you mean \"" + near + "\"?"));
    }
    at = next;
  }
}

// "--to=" with nothing behind: CLI11 would take the next word, be it an option, for its value.
bool has_empty_value(int argc, const char* const* argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--") break;
    if (!word.starts_with("-") || word.find('=') != word.size() - 1) continue;
    complain(printable(word) + " has an empty value; write one, or leave it out");
    return true;
  }
  return false;
}

}  // namespace

int run_command_line(int argc, const char* const* argv) {
  CommandTree::Parsed parsed;
  CLI::App root(
      "a sending mail server that never sends with less protection than the recipient's domain asks for",
      "holdfast");
  const CommandTree tree(root, parsed);
  if (has_empty_value(argc, argv)) return exit_code::usage;
  try {
    root.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // Help is an answer; everything else is a wrong command line.
    const int code = root.exit(error);
    if (code != 0) suggest(describe(root), argc, argv);
    return code == 0 ? exit_code::yes : exit_code::usage;
  }
  const int code = parsed.run();
  if (std::fflush(stdout) != 0)
    return exit_code::try_again;  // a full disk or a closed pipe: the answer was not given
  return code;
}

}  // namespace holdfast
