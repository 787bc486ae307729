// tests/end_to_end/mail_files.h — what servers that are not ours leave on disk: logs and Maildirs.
#pragma once

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace holdfast::world {

inline std::string file_content(const std::filesystem::path& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// The files of a folder, in no order; none while it does not exist.
inline std::vector<std::string> file_contents(const std::filesystem::path& folder) {
  std::vector<std::string> found;
  std::error_code none_yet;
  for (const auto& entry : std::filesystem::directory_iterator(folder, none_yet)) {
    found.push_back(file_content(entry.path()));
  }
  return found;
}

}  // namespace holdfast::world
