// tests/mta/cli_fixture.h — the built program in a directory of its own, with a configuration.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "tests/config/loaded_text.h"
#include "tests/mta/run_holdfast.h"

namespace holdfast {

class Cli : public testing::Test {
 protected:
  Cli() {
    dir_.write("holdfast.toml", "hostname = \"relay.example.com\"\ndata_dir = \"data\"\n");
    std::filesystem::create_directory(dir_.path() / "data");
  }
  // With -c behind the command's words.
  Ran run(std::vector<std::string> arguments, const std::string& input = "",
          const std::map<std::string, std::string>& environment = {}) {
    arguments.push_back("-c");
    arguments.push_back(dir_.file().string());
    return run_holdfast(dir_.path(), arguments, input, environment);
  }
  Ran run_bare(std::vector<std::string> arguments) { return run_holdfast(dir_.path(), std::move(arguments)); }
  std::filesystem::path socket() const { return dir_.path() / "data/admin.sock"; }
  std::string users() const {
    std::ifstream in(dir_.path() / "data/users");
    return {std::istreambuf_iterator<char>(in), {}};
  }

  ConfigDirectory dir_;
};

}  // namespace holdfast
