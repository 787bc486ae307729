#include "config/reference.h"

#include "config/loading.h"
#include "config/schema.h"

namespace holdfast {
namespace {

std::string table_header(const Section& section) {
  if (section.name.empty()) return "";
  return section.array ? "[[" + section.name + "]]" : "[" + section.name + "]";
}

bool has_default(const Key& key) {
  return !key.required && !std::holds_alternative<OtherValue>(key.fallback);
}

// What the reference writes after "=".
std::string written(const Key& key, bool example) {
  if (!key.example.empty() && (example || key.required)) return key.example;
  return std::holds_alternative<OtherValue>(key.fallback) ? key.example : print_toml(key.fallback);
}

std::string remark(const Key& key) {
  std::string out = key.sentence;
  if (key.required) out += " (required)";
  return out + " [" + key.form + "]";
}

void pad(std::string& line, std::size_t width) {
  line.append(line.size() < width ? width - line.size() : 1, ' ');
}

constexpr std::size_t remark_column = 42;

}  // namespace

std::string reference() {
  std::string out =
      "# Holdfast: every key with its default. Times: ms s m h d w. Sizes: B KiB MiB GiB TiB.\n"
      "# Each may come from the environment too: HOLDFAST_STS__MODE=observe, HOLDFAST_HOSTNAME=…\n\n";
  for (const Section& section : schema()) {
    // Examples of arrays stay comments: they are nobody's configuration. The listener's are true defaults.
    const bool example = section.array && section.name != "listener";
    const std::string mark = example ? "# " : "";
    std::string line = mark + table_header(section);
    if (!section.name.empty()) {
      pad(line, remark_column);
      out += line + "# " + section.sentence + (example ? "; an example" : "") + "\n";
    }
    for (const Key& key : section.keys) {
      line = mark + key.name + " = " + written(key, example);
      pad(line, remark_column);
      out += line + "# " + remark(key) + "\n";
    }
    out += "\n";
  }
  out.pop_back();
  return out;
}

std::string show(const Loaded& loaded, bool origins) {
  if (!loaded.settings) return "";
  std::string out;
  for (const Section& section : schema()) {
    for (std::size_t i = 0; i < section.size(*loaded.settings); ++i) {
      if (!section.name.empty()) out += (out.empty() ? "" : "\n") + table_header(section) + "\n";
      const void* part = section.part_of(*loaded.settings, i);
      for (const Key& key : section.keys) {
        const KeyPlace place{section.name, i, key.name};
        const auto origin = loaded.origins.find(place);
        const auto path = loaded.secret_paths.find(place);
        std::string line = key.name + " = ";
        if (key.kind == KeyKind::secret_file) {
          // The secret itself may have come by the environment; then there is no path to show.
          line += path != loaded.secret_paths.end() ? quote_toml(path->second) : "\"\"";
        } else if (const ConfigValue value = key.get(part);
                   key.secret && value != ConfigValue(std::string())) {
          line += "\"********\"";
        } else {
          line += print_toml(value);
        }
        if (origins) {
          pad(line, remark_column);
          line += "# " + (origin == loaded.origins.end() ? std::string("default") : origin->second.print());
        }
        out += line + "\n";
      }
    }
  }
  return out;
}

std::string markdown_table() {
  const auto cell = [](std::string text) {
    for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) text.insert(at, "\\");
    return text;
  };
  std::string out = "| key | default | may be | does |\n|---|---|---|---|\n";
  for (const Section& section : schema()) {
    for (const Key& key : section.keys) {
      const std::string name = section.name.empty() ? key.name : section.name + "." + key.name;
      const std::string fallback = has_default(key) ? "`" + print_toml(key.fallback) + "`"
                                   : key.required   ? "required"
                                                    : "none";
      out += "| `" + name + "` | " + fallback + " | " + cell(key.form) + " | " + cell(key.sentence) + " |\n";
    }
  }
  return out;
}

}  // namespace holdfast
