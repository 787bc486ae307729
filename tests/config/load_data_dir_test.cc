// Where what belongs to the data directory is, also in a relay that goes on with the old one.
#include <gtest/gtest.h>

#include "tests/config/load_lines.h"

namespace holdfast {
namespace {

Loaded load_while_running_in(const ConfigDirectory& directory, const std::filesystem::path& data_dir) {
  LoadInput input;
  input.file = directory.file();
  input.today = std::chrono::sys_days(std::chrono::year(2026) / 11 / 21);
  input.data_dir = data_dir;
  return load_settings(input);
}

TEST(LoadDataDir, WhatDerivesFromItStaysWhereTheRunningRelayHasIt) {
  const ConfigDirectory directory;
  directory.write("holdfast.toml", loading::host + "data_dir = \"/new\"\n");
  const Loaded loaded = load_while_running_in(directory, "/old");
  ASSERT_TRUE(loaded.settings);
  EXPECT_EQ(loaded.settings->data_dir, "/new") << "as it was written";
  EXPECT_EQ(loaded.settings->auth.users_file, "/old/users");
  EXPECT_EQ(loaded.settings->dkim.key_dir, "/old/dkim");
  EXPECT_EQ(loaded.settings->admin.socket, "/old/admin.sock");
}

TEST(LoadDataDir, WhatIsNamedIsWhereItsNameSays) {
  const ConfigDirectory directory;
  directory.write(
      "holdfast.toml",
      loading::host + "data_dir = \"/new\"\n[auth]\nusers_file = \"/new/users\"\n[dkim]\nkey_dir = \"\"\n");
  const Loaded loaded = load_while_running_in(directory, "/old");
  ASSERT_TRUE(loaded.settings);
  EXPECT_EQ(loaded.settings->auth.users_file, "/new/users");
  EXPECT_EQ(loaded.settings->dkim.key_dir, "/old/dkim");
}

}  // namespace
}  // namespace holdfast
