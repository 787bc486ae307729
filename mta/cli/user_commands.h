// mta/cli/user_commands.h — `holdfast user …`: edits the users file, which a running relay reads again by
// itself.
#pragma once

#include <string>
#include <vector>

#include "mta/cli/common.h"

namespace holdfast {

struct UserOptions {
  std::string name;
  std::vector<std::string> senders;
  std::string messages, recipients;  // rates; "" = unlimited
  bool tls_required_no = false;
  std::filesystem::path password_file;
  bool resume = false;   // suspend: undo it
  bool hold = false;     // suspend: hold what the user has in the queue
  bool release = false;  // suspend --resume: release what is held of the user
};

int user_add(const CommonOptions& common, const UserOptions& options);
int user_list(const CommonOptions& common);
int user_passwd(const CommonOptions& common, const UserOptions& options);
int user_remove(const CommonOptions& common, const UserOptions& options);
int user_suspend(const CommonOptions& common, const UserOptions& options);

}  // namespace holdfast
