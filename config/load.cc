#include "config/load.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "config/loading.h"

namespace holdfast {
namespace {

constexpr std::size_t largest_file = 16 * 1024 * 1024;

std::optional<std::string> read_file(const std::filesystem::path& path, std::string& why) {
  std::error_code code;
  if (std::filesystem::is_directory(path, code)) return why = "is a directory", std::nullopt;
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  if (!in) return why = std::strerror(errno != 0 ? errno : EIO), std::nullopt;
  std::string text;
  char buffer[4096];
  while (in.read(buffer, sizeof buffer) || in.gcount() > 0) {
    text.append(buffer, static_cast<std::size_t>(in.gcount()));
    if (text.size() > largest_file) return why = "is larger than 16 MiB", std::nullopt;
  }
  if (in.bad()) return why = "cannot be read to its end", std::nullopt;
  return text;
}

std::vector<std::string> section_names() {
  std::vector<std::string> names;
  for (const Section& section : schema())
    if (!section.name.empty()) names.push_back(section.name);
  return names;
}

std::vector<std::string> key_names(const Section& section) {
  std::vector<std::string> names;
  for (const Key& key : section.keys) names.push_back(key.name);
  return names;
}

std::string header(const Section& section) {
  return section.array ? "[[" + section.name + "]]" : "[" + section.name + "]";
}

// ", did you mean …": first among the keys of this section, then the same word elsewhere.
std::string suggest_key(const Section& section, const std::string& word) {
  if (const std::string near = nearest(word, key_names(section)); !near.empty())
    return "no such key; did you mean \"" + near + "\"?";
  for (const Section& other : schema()) {
    if (!other.find(word)) continue;
    return other.name.empty() ? "no such key here; write it before the first table"
                              : "no such key here; it belongs under " + header(other);
  }
  return "no such key; `holdfast config reference` lists all";
}

std::string suggest_section(const std::string& word) {
  const std::string near = nearest(word, section_names());
  if (near.empty()) return "no such table; `holdfast config reference` lists all";
  return "no such table; did you mean " + header(*find_section(near)) + "?";
}

void take_table(Loading& loading, TomlTable table) {
  const Section* section = find_section(table.name);
  if (!section) return loading.error(table.origin, table.name, suggest_section(table.name));
  if (section->array != table.element && !section->name.empty())
    return loading.error(table.origin, table.name, "write its header as " + header(*section));
  std::size_t index = 0;
  if (section->array) {
    index = loading.elements[section->name]++;
    loading.element_origins[{section->name, index, ""}] = table.origin;
  }
  for (Assignment& assignment : table.assignments) {
    const KeyPlace place{section->name, index, assignment.key};
    if (section->find(assignment.key)) {
      loading.assigned.insert_or_assign(place, std::move(assignment));
    } else if (const Section* meant = section->name.empty() ? find_section(assignment.key) : nullptr) {
      loading.error(assignment.origin, assignment.key,
                    "this is a table; write its keys below the line " + header(*meant));
    } else if (section->name.empty() && std::holds_alternative<OtherValue>(assignment.value)) {
      loading.error(assignment.origin, assignment.key, suggest_section(assignment.key));
    } else {
      loading.error(assignment.origin, dotted(place), suggest_key(*section, assignment.key));
    }
  }
}

void take_file(Loading& loading, const std::filesystem::path& path) {
  std::string why;
  const auto text = read_file(path, why);
  if (!text) return loading.error({path.string(), 0, 0}, "", "cannot be read: " + why);
  TomlDocument document = read_toml(*text, path.string());
  for (Diagnostic& error : document.errors) loading.result.errors.push_back(std::move(error));
  for (TomlTable& table : document.tables) take_table(loading, std::move(table));
}

void take_directory(Loading& loading, const std::filesystem::path& directory) {
  std::error_code code;
  if (!std::filesystem::exists(directory, code)) return;
  std::vector<std::filesystem::path> files;
  std::filesystem::directory_iterator it(directory, code), end;
  for (; !code && it != end; it.increment(code))
    if (it->path().extension() == ".toml") files.push_back(it->path());
  if (code) return loading.error({directory.string(), 0, 0}, "", "cannot be read: " + code.message());
  std::sort(files.begin(), files.end());
  for (const auto& file : files) take_file(loading, file);
}

// Relative paths start from the configuration's directory, wherever the relay was started.
void make_absolute(const Loading& loading, const Key& key, ConfigValue& value) {
  auto* text = std::get_if<std::string>(&value);
  if (!text || text->empty() || (key.kind != KeyKind::path && key.kind != KeyKind::secret_file)) return;
  const std::filesystem::path given(*text);
  if (given.is_relative()) *text = (loading.input.file.parent_path() / given).lexically_normal().string();
}

void apply_key(Loading& loading, const Section& section, std::size_t index, const Key& key) {
  const KeyPlace place{section.name, index, key.name};
  void* part = section.part(loading.settings, index);
  const auto found = loading.assigned.find(place);
  if (found == loading.assigned.end()) {
    if (key.required)
      loading.error(loading.origin_of(place), dotted(place),
                    "is missing; write " + key.name + " = " + key.example + " (" + key.sentence + ")");
    return;
  }
  ConfigValue value = found->second.value;
  make_absolute(loading, key, value);
  const std::string wrong = key.set(part, value);
  if (!wrong.empty()) return loading.error(found->second.origin, dotted(place), wrong);
  const auto* text = std::get_if<std::string>(&value);
  const auto* list = std::get_if<std::vector<std::string>>(&value);
  if (key.required && ((text && text->empty()) || (list && list->empty())))
    return loading.error(found->second.origin, dotted(place), "is empty; write it as " + key.example);
  loading.result.origins[place] = found->second.origin;
  if (key.kind == KeyKind::secret_file && text && !text->empty()) loading.result.secret_paths[place] = *text;
}

void apply_all(Loading& loading) {
  loading.settings = default_settings();
  for (const Section& section : schema()) {
    const std::size_t count = section.array ? loading.elements[section.name] : 1;
    for (std::size_t index = 0; index < count; ++index) {
      if (section.array) {
        section.append(loading.settings);
        set_defaults(section, section.part(loading.settings, index));
      }
      for (const Key& key : section.keys) apply_key(loading, section, index, key);
    }
  }
  if (loading.settings.listeners.empty()) {
    const Section& section = *find_section("listener");
    section.append(loading.settings);
    set_defaults(section, section.part(loading.settings, 0));
  }
}

}  // namespace

std::string dotted(const KeyPlace& place) {
  const Section* section = find_section(place.section);
  std::string out = place.section;
  if (section && section->array) out += "[" + std::to_string(place.index) + "]";
  if (!out.empty() && !place.key.empty()) out += '.';
  return out + place.key;
}

Origin Loading::origin_of(const KeyPlace& place) const {
  if (const auto it = assigned.find(place); it != assigned.end()) return it->second.origin;
  if (const auto it = element_origins.find({place.section, place.index, ""}); it != element_origins.end())
    return it->second;
  return {input.file.string(), 0, 0};
}

Loaded load_settings(const LoadInput& input) {
  Loading loading{input, {}, {}, {}, {}, {}, {}};
  take_file(loading, input.file);
  take_directory(loading, input.file.parent_path() / "conf.d");
  take_environment(loading);
  // A file that could not be read misses keys that nobody forgot: say only why.
  const bool unread = std::any_of(loading.result.errors.begin(), loading.result.errors.end(),
                                  [](const Diagnostic& error) { return error.key.empty(); });
  if (!unread) {
    apply_all(loading);
    if (input.secrets) read_secrets(loading);
    derive_settings(loading);
    cross_check(loading);
  }
  std::stable_sort(loading.result.errors.begin(), loading.result.errors.end(),
                   [](const auto& a, const auto& b) {
                     return a.origin.source == b.origin.source && a.origin.line < b.origin.line;
                   });
  if (loading.result.errors.empty())
    loading.result.settings = std::make_shared<const Settings>(std::move(loading.settings));
  return std::move(loading.result);
}

std::map<std::string, std::string> holdfast_environment() {
  std::map<std::string, std::string> out;
  for (char** entry = environ; entry && *entry; ++entry) {
    const std::string_view text(*entry);
    const auto equals = text.find('=');
    if (text.starts_with("HOLDFAST_") && equals != std::string_view::npos)
      out.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return out;
}

}  // namespace holdfast
