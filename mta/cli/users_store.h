// mta/cli/users_store.h — changes the users file as a whole: read, change, write, never half.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "config/users_file.h"

namespace holdfast {

struct UsersError {
  int exit_code = 0;  // 0 = none
  std::string text;
};

// A missing file is an empty one. Faulty lines are errors: rewriting the file would lose them.
UsersError read_users(const std::filesystem::path& file, std::vector<UserRecord>& users);

// Holds the directory's lock, so that two commands at once do not undo each other; reads, calls `change`
// (whose error ends it unwritten), and replaces the file by rename: synced first, mode 0600, its owner kept
// (a new file belongs to the directory's owner, so that root may prepare it for the relay's user).
UsersError change_users(const std::filesystem::path& file,
                        const std::function<UsersError(std::vector<UserRecord>&)>& change);

}  // namespace holdfast
