#include <fmt/format.h>

#include "mta/cli/command_info.h"

namespace holdfast {
namespace {

// The code point of the UTF-8 sequence at `at`, which is moved behind it. Our own texts are well-formed.
std::uint32_t code_point(const std::string& text, std::size_t& at) {
  const auto first = static_cast<unsigned char>(text[at++]);
  const int more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
  std::uint32_t code = first & (0x3fU >> more);
  for (int i = 0; i < more && at < text.size(); ++i)
    code = code << 6 | (static_cast<unsigned char>(text[at++]) & 0x3fU);
  return code;
}

// Text for roff: its escape and control characters made harmless, hyphens kept as such, the rest by number.
std::string roff(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (static_cast<unsigned char>(c) >= 0x80) {
      const auto point = code_point(text, at);
      // Terminals without UTF-8 have no ellipsis, and troff says so instead of showing something.
      out += point == 0x2026 ? "..." : fmt::format("\\[u{:04X}]", point);
      continue;
    }
    ++at;
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else if (out.empty() && (c == '.' || c == '\'')) {
      out += "\\&" + std::string(1, c);
    } else {
      out += c;
    }
  }
  return out;
}

bool is_help(const OptionInfo& option) { return !option.names.empty() && option.names.back() == "--help"; }

std::string option_text(const OptionInfo& option) {
  std::string out;
  for (const std::string& name : option.names)
    out += (out.empty() ? "" : ", ") + ("\\fB" + roff(name) + "\\fR");
  if (!option.value.empty()) out += (out.empty() ? "" : " ") + ("\\fI" + roff(option.value) + "\\fR");
  return out;
}

void command_text(std::string& out, const CommandInfo& command, const std::string& path) {
  for (const CommandInfo& child : command.commands) {
    const std::string name = path.empty() ? child.name : path + " " + child.name;
    if (!child.commands.empty()) {
      command_text(out, child, name);
      continue;
    }
    std::string usage = "\\fB" + roff(name) + "\\fR";
    for (const OptionInfo& option : child.options)
      if (option.names.empty())
        usage += option.required ? " " + option_text(option) : " [" + option_text(option) + "]";
    out += ".SS \"" + usage + "\"\n" + roff(child.description) + "\n";
    for (const OptionInfo& option : child.options)
      if (!option.names.empty() && !is_help(option))
        out += ".TP\n" + option_text(option) + "\n" + roff(option.description) + "\n";
  }
}

void table_rows(std::string& out, const CommandInfo& command, const std::string& path) {
  for (const CommandInfo& child : command.commands) {
    const std::string name = path.empty() ? child.name : path + " " + child.name;
    if (!child.commands.empty()) {
      table_rows(out, child, name);
      continue;
    }
    std::string usage = name;
    for (const OptionInfo& option : child.options)
      if (option.names.empty()) usage += option.required ? " " + option.value : " [" + option.value + "]";
    out += "| `" + usage + "` | " + child.description + " |\n";
  }
}

}  // namespace

std::string command_table(const CommandInfo& root) {
  std::string out = "| command | does |\n|---|---|\n";
  table_rows(out, root, "");
  return out;
}

std::string manual_page(const CommandInfo& root, const std::string& version) {
  std::string out = ".TH HOLDFAST 1 \"\" \"holdfast " + version + "\"\n.SH NAME\nholdfast \\- " +
                    roff(root.description) + "\n";
  out += ".SH SYNOPSIS\n\\fBholdfast\\fR \\fICOMMAND\\fR [\\fIOPTIONS\\fR]\n.SH COMMANDS\n";
  command_text(out, root, "");
  out +=
      ".SH OUTPUT\nA table on a terminal, tab\\-separated fields when piped, JSON lines with a schema number "
      "by "
      "\\fB\\-\\-json\\fR.\n"
      ".SH EXIT STATUS\n"
      ".TP\n0\nyes\n.TP\n1\nthe answer is no: not found, not ready\n.TP\n64\nthe command line is "
      "wrong\n.TP\n65\nbad data\n"
      ".TP\n69\nthe relay is not reachable\n.TP\n75\ntry again\n.TP\n77\npermission denied\n.TP\n78\nthe "
      "configuration is "
      "wrong\n"
      ".SH FILES\n.TP\n/etc/holdfast/holdfast.toml\nthe configuration; \\fBholdfast config reference\\fR "
      "prints every key\n"
      ".TP\n/etc/holdfast/conf.d/*.toml\nread after it, in the order of their names\n"
      ".SH ENVIRONMENT\n.TP\nHOLDFAST_SECTION__KEY\noverrides that key of the configuration; a secret also "
      "as "
      "HOLDFAST_SECTION__KEY_FILE\n";
  return out;
}

}  // namespace holdfast
