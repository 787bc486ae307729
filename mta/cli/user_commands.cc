#include "mta/cli/user_commands.h"

#include <chrono>
#include <thread>

#include "config/secret.h"
#include "config/values.h"
#include "mta/cli/password_input.h"
#include "mta/cli/relay_commands.h"
#include "mta/cli/table.h"
#include "mta/users_store.h"
#include "smtp/base/key_file.h"
#include "smtp/server/user_directory.h"
#include "smtp/wire/base64.h"

namespace holdfast {
namespace {

// The relay looks at the users file once a second, and at the user at the end of each message: what had
// passed by then is committed a moment later.
constexpr auto kUsersFileIsSeen = std::chrono::seconds(3);

int finish(const UsersError& error) {
  if (error.exit_code != 0) complain(printable(error.text));
  return error.exit_code;
}

// What SCRAM told of the name so far, when nobody had it too: neither a new user nor a new password shows to
// who asks without one. "" = any: no relay has told anything here.
std::string salt_so_far(const Settings& settings, const UserRecord& user) {
  if (user.scram) return base64_decode(user.scram->salt).value_or("");
  const auto key = read_key(settings.data_dir / kSaltKeyFile);
  return key && *key ? scram_salt(**key, user.name) : "";
}

UsersError set_password(const Settings& settings, UserRecord& user, const std::filesystem::path& file) {
  std::string password;
  const WipeAtEnd wiped(password);
  if (UsersError error = read_new_password(file, password); error.exit_code != 0) return error;
  const auto hash = hash_password(password);
  const std::string salt = salt_so_far(settings, user);
  user.scram = salt.empty() ? make_scram(password) : derive_scram(password, salt);
  if (!hash || !user.scram)
    return {exit_code::bad_data, "this password cannot be used: at most 511 octets, and no NUL"};
  user.password_hash = *hash;
  return {};
}

UsersError read_options(const UserOptions& options, UserRecord& user) {
  UserText text;
  text.name = options.name;
  text.senders = options.senders;
  text.messages = options.messages;
  text.recipients = options.recipients;
  text.tls_required_no = options.tls_required_no;
  return read_user(text, user);
}

}  // namespace

int user_add(const CommonOptions& common, const UserOptions& options) {
  UserRecord user;
  if (UsersError error = read_options(options, user); error.exit_code != 0) return finish(error);
  const SettingsPtr settings = need_settings(common, false);
  if (!settings) return exit_code::configuration;
  // Asked before the password is, and again under the lock.
  if (UsersError error = check_new_user(*settings, user.name); error.exit_code != 0) return finish(error);
  if (UsersError error = set_password(*settings, user, options.password_file); error.exit_code != 0)
    return finish(error);
  return finish(add_user(*settings, user));
}

int user_list(const CommonOptions& common) {
  const SettingsPtr settings = need_settings(common, false);
  if (!settings) return exit_code::configuration;
  std::vector<KnownUser> users;
  if (UsersError error = list_users(*settings, users); error.exit_code != 0) return finish(error);
  Table table({"NAME", "STATE", "SENDERS", "MESSAGES", "RECIPIENTS", "FROM"});
  for (const KnownUser& known : users) {
    const UserRecord& user = known.user;
    if (common.json) print(user_json(known) + "\n");
    std::string senders;
    for (const std::string& sender : user.senders) senders += (senders.empty() ? "" : ",") + sender;
    table.add({user.name, user.suspended ? "suspended" : "active", senders, print_rate(user.messages),
               print_rate(user.recipients), known.in_file ? "users file" : "configuration"});
  }
  if (!common.json) print(table.text(stdout_is_terminal()));
  return exit_code::yes;
}

int user_passwd(const CommonOptions& common, const UserOptions& options) {
  const SettingsPtr settings = need_settings(common, false);
  if (!settings) return exit_code::configuration;
  // Before the password is asked for: is there such a user, and may the file be written?
  UserRecord fresh;
  const auto unchanged = [&](UserRecord& user) { fresh = user; };
  if (UsersError error = change_user(*settings, options.name, unchanged); error.exit_code != 0)
    return finish(error);
  if (UsersError error = set_password(*settings, fresh, options.password_file); error.exit_code != 0)
    return finish(error);
  return finish(change_user(*settings, options.name, [&](UserRecord& user) {
    user.password_hash = fresh.password_hash;
    user.scram = fresh.scram;
  }));
}

int user_remove(const CommonOptions& common, const UserOptions& options) {
  const SettingsPtr settings = need_settings(common, false);
  if (!settings) return exit_code::configuration;
  return finish(remove_user(*settings, options.name));
}

int user_suspend(const CommonOptions& common, const UserOptions& options) {
  const SettingsPtr settings = need_settings(common, false);
  if (!settings) return exit_code::configuration;
  const auto suspend = [&](UserRecord& user) { user.suspended = !options.resume; };
  const int code = finish(change_user(*settings, options.name, suspend));
  if (code != exit_code::yes) return code;
  if (options.release) return change_mail_of(common, options.name, "release");
  if (!options.hold) return code;
  const int held = change_mail_of(common, options.name, "hold");
  if (held != exit_code::yes) return held;
  // What the relay took until it saw the change is held too.
  std::this_thread::sleep_for(kUsersFileIsSeen);
  return change_mail_of(common, options.name, "hold");
}

}  // namespace holdfast
