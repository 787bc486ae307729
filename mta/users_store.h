// mta/users_store.h — the users file as `holdfast user` and the admin API change it: read, change, write,
// never half. The relay sees a change by itself.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "config/settings.h"
#include "config/users_file.h"

namespace holdfast {

struct UsersError {
  int exit_code = 0;  // as a command ends by it; 0 = none
  std::string text;
};

// A missing file is an empty one. Faulty lines are errors: rewriting the file would lose them.
UsersError read_users(const std::filesystem::path& file, std::vector<UserRecord>& users);

// Holds the directory's lock, so that two commands at once do not undo each other; reads, calls `change`
// (whose error ends it unwritten), and replaces the file by rename: synced first, mode 0600, its owner kept
// (a new file belongs to the directory's owner, so that root may prepare it for the relay's user).
UsersError change_users(const std::filesystem::path& file,
                        const std::function<UsersError(std::vector<UserRecord>&)>& change);

// What an operator writes of a user.
struct UserText {
  std::string name;
  std::vector<std::string> senders;
  std::string messages, recipients;  // rates; "" = unlimited
  bool tls_required_no = false;
};
// Fills in all but password and keys.
UsersError read_user(const UserText& text, UserRecord& user);

// Is the name taken, by a user of the configuration or of the file?
UsersError check_new_user(const Settings& settings, const std::string& name);
UsersError add_user(const Settings& settings, const UserRecord& user);
UsersError change_user(const Settings& settings, const std::string& name,
                       const std::function<void(UserRecord&)>& change);
UsersError remove_user(const Settings& settings, const std::string& name);

// A user, and whether the users file has it or the configuration.
struct KnownUser {
  UserRecord user;
  bool in_file = true;
};
UsersError list_users(const Settings& settings, std::vector<KnownUser>& users);

// {schema, name, state, senders, messages, recipients, from}
std::string user_json(const KnownUser& known);

}  // namespace holdfast
