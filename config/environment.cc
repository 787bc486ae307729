#include <algorithm>
#include <charconv>

#include "config/loading.h"
#include "config/values.h"

namespace holdfast {
namespace {

constexpr std::string_view prefix = "HOLDFAST_";
constexpr std::string_view file_suffix = "_file";
// More elements than this by environment are a typing error, not a configuration.
constexpr std::size_t most_elements = 1000;

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; });
  return out;
}

std::vector<std::string> split_list(std::string_view text) {
  std::vector<std::string> items;
  while (!text.empty()) {
    const auto comma = text.find(',');
    std::string_view item = text.substr(0, comma);
    while (item.starts_with(' ')) item.remove_prefix(1);
    while (item.ends_with(' ')) item.remove_suffix(1);
    if (!item.empty()) items.emplace_back(item);
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  return items;
}

// The environment has only texts: the key says what they are.
ConfigValue value_for(const Key& key, const std::string& text) {
  switch (key.kind) {
    case KeyKind::boolean:
      if (text == "true" || text == "1" || text == "yes") return true;
      if (text == "false" || text == "0" || text == "no") return false;
      return text;
    case KeyKind::integer: {
      std::int64_t number = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      if (error == std::errc() && end == text.data() + text.size()) return number;
      return text;
    }
    case KeyKind::list: return split_list(text);
    default: return text;
  }
}

// HOLDFAST_USER__0__NAME without the prefix, in lower case, cut at the double underscores.
std::vector<std::string> parts_of(std::string_view name) {
  std::vector<std::string> parts;
  for (;;) {
    const auto at = name.find("__");
    parts.push_back(lower(name.substr(0, at)));
    if (at == std::string_view::npos) return parts;
    name.remove_prefix(at + 2);
  }
}

std::vector<std::string> names_of(const Section& section) {
  std::vector<std::string> names;
  for (const Key& key : section.keys) names.push_back(key.name);
  return names;
}

// Sets one key, one secret, or the file of one secret; false when the section has no such key.
bool assign(Loading& loading, const Section& section, std::size_t index, const std::string& name,
            const std::string& value, const Origin& origin) {
  if (const Key* key = section.find(name)) {
    loading.assigned.insert_or_assign(KeyPlace{section.name, index, name},
                                      Assignment{name, value_for(*key, value), origin});
    return true;
  }
  // NAME for a key NAME_file: the secret itself.
  const std::string with_suffix = name + std::string(file_suffix);
  if (const Key* key = section.find(with_suffix); key && key->kind == KeyKind::secret_file) {
    const KeyPlace place{section.name, index, with_suffix};
    loading.assigned.erase(place);
    loading.secret_values[place] = value;
    loading.result.origins[place] = origin;
    return true;
  }
  // NAME_file for a masked key NAME: read by read_secrets() under the key's own name.
  if (name.ends_with(file_suffix)) {
    const std::string bare = name.substr(0, name.size() - file_suffix.size());
    if (const Key* key = section.find(bare); key && key->secret) {
      const KeyPlace place{section.name, index, bare};
      loading.assigned.erase(place);
      loading.result.secret_paths[place] = value;
      loading.result.origins[place] = origin;
      return true;
    }
  }
  return false;
}

std::optional<std::size_t> number(const std::string& text) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value >= most_elements) return std::nullopt;
  return value;
}

void take_in_section(Loading& loading, const std::vector<std::string>& parts, const std::string& value,
                     const Origin& origin) {
  const Section* section = find_section(parts[0]);
  if (!section || section->name.empty()) {
    std::vector<std::string> names;
    for (const Section& known : schema()) names.push_back(known.name);
    const std::string near = nearest(parts[0], names);
    return loading.error(
        origin, parts[0],
        near.empty() ? "no such section" : "no such section; did you mean \"" + near + "\"?");
  }
  std::size_t index = 0;
  if (section->array) {
    const auto given = parts.size() == 3 ? number(parts[1]) : std::nullopt;
    std::size_t& count = loading.elements[section->name];
    if (!given || *given > count)
      return loading.error(
          origin, section->name,
          "write the element's number between double underscores, from 0 without gaps: HOLDFAST_" +
              std::string("USER__0__NAME"));
    index = *given;
    if (index == count) {
      ++count;
      loading.element_origins[{section->name, index, ""}] = origin;
    }
  } else if (parts.size() != 2) {
    return loading.error(origin, section->name, "write it as HOLDFAST_SECTION__KEY");
  }
  if (assign(loading, *section, index, parts.back(), value, origin)) return;
  const std::string near = nearest(parts.back(), names_of(*section));
  loading.error(origin, dotted({section->name, index, parts.back()}),
                near.empty() ? "no such key" : "no such key; did you mean \"" + near + "\"?");
}

void take_top_level(Loading& loading, const std::string& name, const std::string& value,
                    const Origin& origin) {
  const Section& top = *find_section("");
  if (assign(loading, top, 0, name, value, origin)) return;
  // Not ours, as a rule; but a near miss is worth a word.
  if (const std::string near = nearest(name, names_of(top)); !near.empty())
    loading.warning(origin, "", "is ignored: no such key; did you mean \"" + near + "\"?");
}

}  // namespace

void take_environment(Loading& loading) {
  // Elements in the order of their numbers: as text, 10 comes before 2.
  std::vector<std::pair<std::vector<std::string>, const std::pair<const std::string, std::string>*>> all;
  for (const auto& entry : loading.input.environment)
    if (entry.first.starts_with(prefix))
      all.emplace_back(parts_of(std::string_view(entry.first).substr(prefix.size())), &entry);
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
    const auto at = [](const auto& parts) {
      return parts.size() == 3 ? number(parts[1]).value_or(most_elements) : 0;
    };
    return at(a.first) < at(b.first);
  });
  for (const auto& [parts, entry] : all) {
    const Origin origin{"environment " + entry->first, 0, 0};
    if (parts.size() == 1) {
      take_top_level(loading, parts[0], entry->second, origin);
    } else {
      take_in_section(loading, parts, entry->second, origin);
    }
  }
}

}  // namespace holdfast
