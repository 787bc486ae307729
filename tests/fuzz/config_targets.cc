// config: what the operator writes, and what `holdfast user` keeps.
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "config/load.h"
#include "config/toml_reader.h"
#include "config/users_file.h"
#include "smtp/base/utf8.h"
#include "tests/fuzz/fuzz.h"

namespace holdfast::fuzz {
namespace {

// One for the whole run, gone with it.
class Directory {
 public:
  Directory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "holdfast-fuzz-XXXXXX").string();
    if (!mkdtemp(pattern.data())) throw std::runtime_error("mkdtemp");
    path_ = pattern;
  }
  ~Directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace

void fuzz_configuration(std::string_view input) {
  const TomlDocument document = read_toml(input, "a.toml");
  require(document.errors.size() <= 1, "the first place that is not TOML is named");
  for (const TomlTable& table : document.tables) {
    for (const Assignment& assignment : table.assignments) {
      if (std::holds_alternative<OtherValue>(assignment.value)) continue;
      const auto again = read_toml("key = " + print_toml(assignment.value) + "\n", "b.toml");
      require(again.errors.empty() && again.tables.size() == 1 && again.tables[0].assignments.size() == 1 &&
                  again.tables[0].assignments[0].value == assignment.value,
              "a value is read as it is printed");
    }
  }

  static const Directory directory;
  const auto file = directory.path() / "holdfast.toml";
  std::ofstream(file, std::ios::binary) << input;
  LoadInput load;
  load.file = file;
  load.today = std::chrono::sys_days(std::chrono::year(2026) / 11 / 21);
  load.secrets = false;
  const Loaded loaded = load_settings(load);
  require((loaded.settings == nullptr) == !loaded.errors.empty(),
          "settings come exactly when nothing is wrong");
  for (const auto* diagnostics : {&loaded.errors, &loaded.warnings}) {
    for (const Diagnostic& diagnostic : *diagnostics) {
      require(!diagnostic.text.empty(), "a mistake is explained");
      require(has_no_controls(diagnostic.print()), "a mistake is one line");
    }
  }
}

void fuzz_users_file(std::string_view input) {
  const UsersFile file = parse_users(input);
  for (const UserRecord& user : file.users) require(is_user_name(user.name), "a user has a name");
  const UsersFile again = parse_users(print_users(file.users));
  require(again.errors.empty(), "users are written as they are read");
  require(again.users == file.users, "users are read as they are written");
}

}  // namespace holdfast::fuzz
