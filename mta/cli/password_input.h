// mta/cli/password_input.h — where a new password comes from; never the command line, which others can see.
#pragma once

#include <filesystem>
#include <string>

#include "mta/users_store.h"

namespace holdfast {

// From `file` when given; else typed twice without echo on a terminal; else one line of standard input.
UsersError read_new_password(const std::filesystem::path& file, std::string& password);

}  // namespace holdfast
