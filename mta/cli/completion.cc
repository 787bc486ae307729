#include <functional>

#include "mta/cli/command_info.h"

namespace holdfast {
namespace {

// Every command with its words: {"queue", "list"}.
using Visit = std::function<void(const CommandInfo&, const std::vector<std::string>& path)>;

void walk(const CommandInfo& command, std::vector<std::string> path, const Visit& visit) {
  visit(command, path);
  for (const CommandInfo& child : command.commands) {
    auto deeper = path;
    deeper.push_back(child.name);
    walk(child, deeper, visit);
  }
}

std::string joined_by_spaces(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

std::string words_of(const CommandInfo& command) {
  std::vector<std::string> words;
  for (const CommandInfo& child : command.commands) words.push_back(child.name);
  for (const OptionInfo& option : command.options)
    for (const std::string& name : option.names) words.push_back(name);
  return joined_by_spaces(words);
}

// Single quotes for the shells.
std::string shell_quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string bash(const CommandInfo& root) {
  std::string out =
      "# bash completion for holdfast, printed by `holdfast completion bash`\n"
      "_holdfast() {\n"
      "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} path= i\n"
      "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
      "    case ${COMP_WORDS[i]} in -*) ;; *) case \" ${_holdfast_paths} \" in\n"
      "      *\" ${path:+$path/}${COMP_WORDS[i]} \"*) path=${path:+$path/}${COMP_WORDS[i]} ;; esac ;; esac\n"
      "  done\n";
  std::string paths, cases, files;
  walk(root, {}, [&](const CommandInfo& command, const std::vector<std::string>& path) {
    std::string slashed;
    for (const std::string& word : path) slashed += (slashed.empty() ? "" : "/") + word;
    if (!slashed.empty()) paths += (paths.empty() ? "" : " ") + slashed;
    cases += "    " + shell_quoted(slashed) + ") COMPREPLY=($(compgen -W " + shell_quoted(words_of(command)) +
             " -- \"$word\")) ;;\n";
    for (const OptionInfo& option : command.options)
      for (const std::string& name : option.names)
        if (option.is_file && files.find(name) == std::string::npos)
          files += (files.empty() ? "" : "|") + name;
  });
  out += "  case $before in " + files + ") COMPREPLY=($(compgen -f -- \"$word\")); return ;; esac\n";
  out += "  case $path in\n" + cases + "  esac\n}\n";
  return "_holdfast_paths=" + shell_quoted(paths) + "\n" + out +
         "complete -o default -F _holdfast holdfast\n";
}

std::string zsh(const CommandInfo& root) {
  // zsh runs bash completions; that keeps one description of the tree.
  return "#compdef holdfast\n# printed by `holdfast completion zsh`\nautoload -U +X bashcompinit && "
         "bashcompinit\n" +
         bash(root);
}

std::string fish(const CommandInfo& root) {
  std::string out =
      "# fish completion for holdfast, printed by `holdfast completion fish`\ncomplete -c holdfast -f\n";
  walk(root, {}, [&](const CommandInfo& command, const std::vector<std::string>& path) {
    std::string condition;
    for (const std::string& word : path)
      condition += (condition.empty() ? "" : "; and ") + ("__fish_seen_subcommand_from " + word);
    std::string names;
    for (const CommandInfo& child : command.commands) names += " " + child.name;
    for (const CommandInfo& child : command.commands) {
      const std::string here = path.empty() ? "__fish_use_subcommand"
                                            : condition + "; and not __fish_seen_subcommand_from" + names;
      out += "complete -c holdfast -n " + shell_quoted(here) + " -a " + child.name + " -d " +
             shell_quoted(child.description) + "\n";
    }
    for (const OptionInfo& option : command.options) {
      if (option.names.empty()) continue;
      std::string line = "complete -c holdfast";
      if (!condition.empty()) line += " -n " + shell_quoted(condition);
      for (const std::string& name : option.names)
        line += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      if (!option.value.empty()) line += option.is_file ? " -r -F" : " -x";
      out += line + " -d " + shell_quoted(option.description) + "\n";
    }
  });
  return out;
}

}  // namespace

std::string completion_script(const CommandInfo& root, const std::string& shell) {
  if (shell == "bash") return bash(root);
  if (shell == "zsh") return zsh(root);
  if (shell == "fish") return fish(root);
  return "";
}

}  // namespace holdfast
