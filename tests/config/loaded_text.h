// tests/config/loaded_text.h — a configuration directory of its own, and what the loader makes of it.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "config/load.h"

namespace holdfast {

class ConfigDirectory {
 public:
  ConfigDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "holdfast-config-XXXXXX").string();
    if (!mkdtemp(pattern.data())) throw std::runtime_error("mkdtemp");
    path_ = pattern;
  }
  ~ConfigDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ConfigDirectory(const ConfigDirectory&) = delete;
  ConfigDirectory& operator=(const ConfigDirectory&) = delete;

  std::filesystem::path file() const { return path_ / "holdfast.toml"; }
  std::filesystem::path path() const { return path_; }

  std::filesystem::path write(const std::string& name, const std::string& text, int mode = 0600) const {
    const auto target = path_ / name;
    std::filesystem::create_directories(target.parent_path());
    std::ofstream(target, std::ios::binary) << text;
    std::filesystem::permissions(target, static_cast<std::filesystem::perms>(mode));
    return target;
  }

  Loaded load(const std::string& text, std::map<std::string, std::string> environment = {}) const {
    write("holdfast.toml", text);
    return load_again(std::move(environment));
  }
  Loaded load_again(std::map<std::string, std::string> environment = {}) const {
    using namespace std::chrono;
    return load_settings({file(), std::move(environment), sys_days(2026y / November / 21), true});
  }

  // The messages without the directory: "holdfast.toml:3:1: …"
  std::vector<std::string> lines(const std::vector<Diagnostic>& diagnostics) const {
    std::vector<std::string> out;
    for (const Diagnostic& diagnostic : diagnostics) {
      std::string line = diagnostic.print();
      for (std::size_t at; (at = line.find(path_.string() + "/")) != std::string::npos;)
        line.erase(at, path_.string().size() + 1);
      out.push_back(std::move(line));
    }
    return out;
  }

 private:
  std::filesystem::path path_;
};

}  // namespace holdfast
