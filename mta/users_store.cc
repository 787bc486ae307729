#include "mta/users_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

#include "config/values.h"
#include "mta/admin_json.h"
#include "mta/cli/exit_code.h"
#include "mta/json_text.h"

namespace holdfast {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

UsersError system_error(const std::string& what) {
  const int error = errno;
  const bool denied = error == EACCES || error == EPERM || error == EROFS;
  return {denied ? exit_code::permission : exit_code::try_again, what + ": " + std::strerror(error)};
}

UsersError write_all(int fd, std::string_view text, const std::string& name) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return system_error(name);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

// Only root may give files away, and only then is there something to give.
UsersError keep_owner(int fd, const std::filesystem::path& file, int directory, const std::string& name) {
  struct stat owner {};
  if (::stat(file.c_str(), &owner) != 0 && ::fstat(directory, &owner) != 0) return system_error(name);
  if (::geteuid() == 0 && ::fchown(fd, owner.st_uid, owner.st_gid) != 0) return system_error(name);
  return {};
}

UsersError replace(const std::filesystem::path& file, const std::string& text, int directory) {
  std::string name = file.string() + ".XXXXXX";
  const Descriptor out(::mkostemp(name.data(), O_CLOEXEC));  // mode 0600
  if (out.get() < 0) return system_error(name);
  UsersError error = keep_owner(out.get(), file, directory, name);
  if (error.exit_code == 0) error = write_all(out.get(), text, name);
  if (error.exit_code == 0 && ::fsync(out.get()) != 0) error = system_error(name);
  if (error.exit_code == 0 && ::rename(name.c_str(), file.c_str()) != 0) error = system_error(file.string());
  if (error.exit_code != 0) {
    ::unlink(name.c_str());
    return error;
  }
  if (::fsync(directory) != 0) return system_error(file.parent_path().string());
  return {};
}

std::vector<UserRecord>::iterator find_user(std::vector<UserRecord>& users, const std::string& name) {
  return std::find_if(users.begin(), users.end(), [&](const UserRecord& user) { return user.name == name; });
}

UsersError unknown(const std::string& name) {
  return {exit_code::no, "there is no user \"" + name + "\" in the users file"};
}

UsersError taken(const std::string& name) {
  return {exit_code::no,
          "the user \"" + name + "\" exists already; `holdfast user passwd` changes the password"};
}

}  // namespace

UsersError read_users(const std::filesystem::path& file, std::vector<UserRecord>& users) {
  const Descriptor in(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (in.get() < 0 && errno == ENOENT) return {};
  if (in.get() < 0) return system_error(file.string());
  std::string text;
  char buffer[16 * 1024];
  for (ssize_t got; (got = ::read(in.get(), buffer, sizeof buffer)) != 0;) {
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error(file.string());
    text.append(buffer, static_cast<std::size_t>(got));
  }
  UsersFile parsed = parse_users(text);
  if (!parsed.errors.empty()) {
    std::string all;
    for (const std::string& error : parsed.errors) all += (all.empty() ? "" : "; ") + error;
    return {exit_code::bad_data, file.string() + ": " + all};
  }
  users = std::move(parsed.users);
  return {};
}

UsersError change_users(const std::filesystem::path& file,
                        const std::function<UsersError(std::vector<UserRecord>&)>& change) {
  const auto parent = file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
  std::error_code code;
  if (!std::filesystem::exists(parent, code)) {
    std::filesystem::create_directories(parent, code);
    std::filesystem::permissions(parent, std::filesystem::perms::owner_all, code);
  }
  const Descriptor directory(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0) return system_error(parent.string());
  if (::flock(directory.get(), LOCK_EX) != 0) return system_error(parent.string());
  std::vector<UserRecord> users;
  if (UsersError error = read_users(file, users); error.exit_code != 0) return error;
  if (UsersError error = change(users); error.exit_code != 0) return error;
  return replace(file, print_users(users), directory.get());
}

UsersError read_user(const UserText& text, UserRecord& user) {
  user.name = text.name;
  if (!is_user_name(user.name))
    return {exit_code::usage,
            "\"" + user.name + "\" is no user name; write printable characters without spaces or \"=\""};
  for (const std::string& sender : text.senders)
    if (!is_sender_pattern(sender))
      return {
          exit_code::usage,
          "\"" + sender + "\" is no sender; write \"*\", \"a@b.example\", \"@b.example\" or \"@.b.example\""};
  user.senders = text.senders;
  for (const auto& [written, rate] :
       {std::pair(text.messages, &user.messages), std::pair(text.recipients, &user.recipients)}) {
    const auto parsed = parse_rate(written);
    if (!parsed) return {exit_code::usage, "\"" + written + "\" is no rate; write it as 2000/h"};
    *rate = *parsed;
  }
  user.tls_required_no = text.tls_required_no;
  return {};
}

UsersError check_new_user(const Settings& settings, const std::string& name) {
  const auto in_config = [&](const UserSettings& known) { return known.name == name; };
  if (std::any_of(settings.users.begin(), settings.users.end(), in_config))
    return {exit_code::no, "the user \"" + name + "\" stands in the configuration already"};
  std::vector<UserRecord> users;
  if (UsersError error = read_users(settings.auth.users_file, users); error.exit_code != 0) return error;
  return find_user(users, name) == users.end() ? UsersError{} : taken(name);
}

UsersError add_user(const Settings& settings, const UserRecord& user) {
  if (UsersError error = check_new_user(settings, user.name); error.exit_code != 0) return error;
  return change_users(settings.auth.users_file, [&](std::vector<UserRecord>& users) {
    if (find_user(users, user.name) != users.end()) return taken(user.name);
    users.push_back(user);
    return UsersError{};
  });
}

UsersError change_user(const Settings& settings, const std::string& name,
                       const std::function<void(UserRecord&)>& change) {
  return change_users(settings.auth.users_file, [&](std::vector<UserRecord>& users) {
    const auto user = find_user(users, name);
    if (user == users.end()) return unknown(name);
    change(*user);
    return UsersError{};
  });
}

UsersError remove_user(const Settings& settings, const std::string& name) {
  return change_users(settings.auth.users_file, [&](std::vector<UserRecord>& users) {
    const auto user = find_user(users, name);
    if (user == users.end()) return unknown(name);
    users.erase(user);
    return UsersError{};
  });
}

UsersError list_users(const Settings& settings, std::vector<KnownUser>& users) {
  std::vector<UserRecord> in_file;
  if (UsersError error = read_users(settings.auth.users_file, in_file); error.exit_code != 0) return error;
  for (UserRecord& user : in_file) users.push_back({std::move(user), true});
  for (const UserSettings& written : settings.users) {
    KnownUser known;
    known.in_file = false;
    known.user.name = written.name;
    known.user.senders = written.senders;
    known.user.messages = written.messages;
    known.user.recipients = written.recipients;
    users.push_back(std::move(known));
  }
  return {};
}

std::string user_json(const KnownUser& known) {
  const UserRecord& user = known.user;
  std::string senders;
  for (const std::string& sender : user.senders)
    senders += (senders.empty() ? "" : ",") + json_string(sender);
  return "{\"schema\":" + std::to_string(kAdminSchema) + ",\"name\":" + json_string(user.name) +
         ",\"state\":\"" + (user.suspended ? "suspended" : "active") + "\",\"senders\":[" + senders +
         "],\"messages\":" + json_string(print_rate(user.messages)) +
         ",\"recipients\":" + json_string(print_rate(user.recipients)) + ",\"from\":\"" +
         (known.in_file ? "users file" : "configuration") + "\"}";
}

}  // namespace holdfast
