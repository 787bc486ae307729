#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "config/loading.h"
#include "config/secret.h"

namespace holdfast {
namespace {

// A password or token; whatever is longer was named by mistake.
constexpr std::size_t largest_secret = 64 * 1024;

bool readable_by_others(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return false;
  // Container engines mount secrets world-readable below /run/secrets, in a file system that only the
  // container sees.
  return (info.st_mode & (S_IRGRP | S_IROTH)) != 0 && !path.starts_with("/run/secrets/");
}

std::optional<std::string> read_secret(const std::string& path, std::string& why) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return why = std::strerror(errno), std::nullopt;
  if (S_ISDIR(info.st_mode)) return why = "is a directory", std::nullopt;
  const auto content = read_secret_file(path, largest_secret + 1);
  if (!content) return why = std::strerror(errno), std::nullopt;
  std::string_view text = content->text();
  if (text.size() > largest_secret) return why = "is larger than 64 KiB", std::nullopt;
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (text.ends_with('\r')) text.remove_suffix(1);
  if (text.empty()) return why = "is empty", std::nullopt;
  if (text.find_first_of(std::string_view("\0\n", 2)) != std::string_view::npos)
    return why = "has more than one line", std::nullopt;
  return heap_text(text);
}

void set_secret(Loading& loading, const KeyPlace& place, std::string content, const Origin& origin) {
  const Section& section = *find_section(place.section);
  const Key& key = *section.find(place.key);
  void* part = section.part(loading.settings, place.index);
  if (key.set_secret) return key.set_secret(part, std::move(content));
  if (const std::string wrong = key.set(part, content); !wrong.empty())
    loading.error(origin, dotted(place), wrong);
}

}  // namespace

void read_secrets(Loading& loading) {
  for (const auto& [place, path] : loading.result.secret_paths) {
    const Origin origin = loading.result.origins[place];
    std::string why;
    auto content = read_secret(path, why);
    if (!content) {
      loading.error(origin, dotted(place), "the file " + path + " cannot be used: " + why);
      continue;
    }
    if (readable_by_others(path))
      loading.warning(origin, dotted(place), "others may read " + path + "; run chmod 600 on it");
    set_secret(loading, place, std::move(*content), origin);
  }
  for (const auto& [place, value] : loading.secret_values)
    set_secret(loading, place, value, loading.result.origins[place]);
}

}  // namespace holdfast
