#include "mta/cli/user_commands.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "config/secret.h"
#include "config/values.h"
#include "mta/cli/password_input.h"
#include "mta/cli/relay_commands.h"
#include "mta/cli/table.h"
#include "mta/cli/users_store.h"

namespace holdfast {
namespace {

constexpr auto kUsersFileIsSeen = std::chrono::milliseconds(1200);

int finish(const UsersError& error) {
  if (error.exit_code != 0) complain(printable(error.text));
  return error.exit_code;
}

UsersError set_password(UserRecord& user, const std::filesystem::path& file) {
  std::string password;
  const WipeAtEnd wiped(password);
  if (UsersError error = read_new_password(file, password); error.exit_code != 0) return error;
  const auto hash = hash_password(password);
  user.scram = make_scram(password);
  if (!hash || !user.scram)
    return {exit_code::bad_data, "this password cannot be used: at most 511 octets, and no NUL"};
  user.password_hash = *hash;
  return {};
}

UsersError unknown(const std::string& name) {
  return {exit_code::no, "there is no user \"" + name + "\" in the users file"};
}

// Runs `change` on the named user of the configuration's users file.
int change_user(const CommonOptions& common, const std::string& name,
                const std::function<void(UserRecord&)>& change) {
  const SettingsPtr settings = need_settings(common, false);
  if (!settings) return exit_code::configuration;
  return finish(change_users(settings->auth.users_file, [&](std::vector<UserRecord>& users) -> UsersError {
    const auto user = std::find_if(users.begin(), users.end(), [&](const auto& u) { return u.name == name; });
    if (user == users.end()) return unknown(name);
    change(*user);
    return {};
  }));
}

UsersError read_options(const UserOptions& options, UserRecord& user) {
  user.name = options.name;
  if (!is_user_name(user.name))
    return {exit_code::usage,
            "\"" + user.name + "\" is no user name; write printable characters without spaces or \"=\""};
  for (const std::string& sender : options.senders)
    if (!is_sender_pattern(sender))
      return {
          exit_code::usage,
          "\"" + sender + "\" is no sender; write \"*\", \"a@b.example\", \"@b.example\" or \"@.b.example\""};
  user.senders = options.senders;
  for (const auto& [text, rate] :
       {std::pair(options.messages, &user.messages), std::pair(options.recipients, &user.recipients)}) {
    const auto parsed = parse_rate(text);
    if (!parsed) return {exit_code::usage, "\"" + text + "\" is no rate; write it as 2000/h"};
    *rate = *parsed;
  }
  user.tls_required_no = options.tls_required_no;
  return {};
}

}  // namespace

int user_add(const CommonOptions& common, const UserOptions& options) {
  UserRecord user;
  if (UsersError error = read_options(options, user); error.exit_code != 0) return finish(error);
  const SettingsPtr settings = need_settings(common, false);
  if (!settings) return exit_code::configuration;
  const auto in_config = [&](const UserSettings& known) { return known.name == user.name; };
  if (std::any_of(settings->users.begin(), settings->users.end(), in_config))
    return finish({exit_code::no, "the user \"" + user.name + "\" stands in the configuration already"});
  const auto exists = [&](const std::vector<UserRecord>& users) {
    return std::any_of(users.begin(), users.end(),
                       [&](const UserRecord& known) { return known.name == user.name; });
  };
  const UsersError taken{exit_code::no, "the user \"" + user.name +
                                            "\" exists already; `holdfast user passwd` changes the password"};
  // Asked before the password is, and again under the lock.
  std::vector<UserRecord> now;
  if (UsersError error = read_users(settings->auth.users_file, now); error.exit_code != 0)
    return finish(error);
  if (exists(now)) return finish(taken);
  if (UsersError error = set_password(user, options.password_file); error.exit_code != 0)
    return finish(error);
  return finish(change_users(settings->auth.users_file, [&](std::vector<UserRecord>& users) {
    if (exists(users)) return taken;
    users.push_back(user);
    return UsersError{};
  }));
}

int user_list(const CommonOptions& common) {
  const SettingsPtr settings = need_settings(common, false);
  if (!settings) return exit_code::configuration;
  std::vector<UserRecord> users;
  if (UsersError error = read_users(settings->auth.users_file, users); error.exit_code != 0)
    return finish(error);
  Table table({"NAME", "STATE", "SENDERS", "MESSAGES", "RECIPIENTS", "FROM"});
  const auto row = [&](const std::string& name, bool suspended, const std::vector<std::string>& senders,
                       const Rate& messages, const Rate& recipients, const char* from) {
    const char* state = suspended ? "suspended" : "active";
    std::string joined, list;
    for (const std::string& sender : senders) {
      joined += (joined.empty() ? "" : ",") + sender;
      list += (list.empty() ? "" : ",") + json_string(sender);
    }
    if (common.json)
      print("{\"schema\":" + std::to_string(kCliSchema) + ",\"name\":" + json_string(name) + ",\"state\":\"" +
            state + "\",\"senders\":[" + list + "],\"messages\":" + json_string(print_rate(messages)) +
            ",\"recipients\":" + json_string(print_rate(recipients)) + ",\"from\":\"" + from + "\"}\n");
    table.add({name, state, joined, print_rate(messages), print_rate(recipients), from});
  };
  for (const UserRecord& user : users)
    row(user.name, user.suspended, user.senders, user.messages, user.recipients, "users file");
  for (const UserSettings& user : settings->users)
    row(user.name, false, user.senders, user.messages, user.recipients, "configuration");
  if (!common.json) print(table.text(stdout_is_terminal()));
  return exit_code::yes;
}

int user_passwd(const CommonOptions& common, const UserOptions& options) {
  const SettingsPtr settings = need_settings(common, false);
  if (!settings) return exit_code::configuration;
  std::vector<UserRecord> now;
  if (UsersError error = read_users(settings->auth.users_file, now); error.exit_code != 0)
    return finish(error);
  if (std::none_of(now.begin(), now.end(),
                   [&](const UserRecord& known) { return known.name == options.name; }))
    return finish(unknown(options.name));
  UserRecord fresh;
  if (UsersError error = set_password(fresh, options.password_file); error.exit_code != 0)
    return finish(error);
  return change_user(common, options.name, [&](UserRecord& user) {
    user.password_hash = fresh.password_hash;
    user.scram = fresh.scram;
  });
}

int user_remove(const CommonOptions& common, const UserOptions& options) {
  const SettingsPtr settings = need_settings(common, false);
  if (!settings) return exit_code::configuration;
  return finish(change_users(settings->auth.users_file, [&](std::vector<UserRecord>& users) -> UsersError {
    const auto named = [&](const UserRecord& user) { return user.name == options.name; };
    return std::erase_if(users, named) == 0 ? unknown(options.name) : UsersError{};
  }));
}

int user_suspend(const CommonOptions& common, const UserOptions& options) {
  const int code =
      change_user(common, options.name, [&](UserRecord& user) { user.suspended = !options.resume; });
  if (code != exit_code::yes) return code;
  if (options.release) return change_mail_of(common, options.name, "release");
  if (!options.hold) return code;
  const int held = change_mail_of(common, options.name, "hold");
  if (held != exit_code::yes) return held;
  // The relay looks at the users file once a second: what it took until then is held too.
  std::this_thread::sleep_for(kUsersFileIsSeen);
  return change_mail_of(common, options.name, "hold");
}

}  // namespace holdfast
