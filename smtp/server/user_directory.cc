#include "smtp/server/user_directory.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

namespace holdfast {
namespace {

constexpr Duration kLookInterval = std::chrono::seconds(1);

UserRecord record_of(const UserSettings& user) {
  UserRecord record;
  record.name = user.name;
  record.senders = user.senders;
  record.messages = user.messages;
  record.recipients = user.recipients;
  record.tls_required_no = user.tls_required_no;
  record.password_hash = user.password_hash;
  if (!user.password.empty()) {
    // Hashed, though it is here in clear: compared otherwise it would answer faster than the others, and so
    // tell that it exists.
    record.password_hash = hash_password(user.password).value_or("");
    record.scram = make_scram(user.password);
  }
  return record;
}

// The same work for the same clear password need not be done again on reload, but whether it is the same
// cannot be told from the hash alone.
bool same_credentials(const UserSettings& a, const UserSettings& b) {
  return a.name == b.name && a.password == b.password && a.password_hash == b.password_hash;
}

}  // namespace

const UserRecord* UserTable::find(std::string_view name) const {
  const auto found = users.find(name);
  return found == users.end() ? nullptr : &found->second;
}

UserDirectory::UserDirectory(SettingsPtr settings, Clock& clock, Log& log) : clock_(clock), log_(log) {
  reload(std::move(settings));
}

std::shared_ptr<const UserTable> UserDirectory::table() const {
  const std::lock_guard lock(mutex_);
  return table_;
}

bool UserDirectory::refresh_is_due() {
  const SteadyTime now = clock_.now();
  const std::lock_guard lock(mutex_);
  if (now < next_look_) return false;
  next_look_ = now + kLookInterval;
  return true;
}

std::optional<UserDirectory::FileMark> UserDirectory::mark_of(const std::filesystem::path& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return std::nullopt;
  FileMark mark;
  mark.seconds = status.st_mtim.tv_sec;
  mark.nanoseconds = status.st_mtim.tv_nsec;
  mark.size = status.st_size;
  mark.inode = status.st_ino;
  return mark;
}

void UserDirectory::refresh() {
  const std::lock_guard loading(loading_);
  const auto& path = settings_->auth.users_file;
  if (mark_of(path) == mark_ && file_known_) return;
  read_file(path);
  publish();
}

void UserDirectory::read_file(const std::filesystem::path& path) {
  if (path.empty()) {
    file_known_ = true;
    return;
  }
  const auto mark = mark_of(path);
  if (!mark && errno == ENOENT) {
    if (!from_file_.empty())
      log_.warning("the users file is gone, and its users with it", Fields().add("file", path.string()));
    from_file_.clear();
    mark_.reset();
    file_known_ = true;
    return;
  }
  std::ifstream file(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!mark || !file.is_open() || file.bad()) {
    log_.error("the users file cannot be read; its users stay as they were",
               Fields().add("file", path.string()).add("why", std::strerror(errno)));
    return;
  }
  UsersFile parsed = parse_users(text);
  for (const std::string& error : parsed.errors) {
    log_.warning("a line of the users file is skipped",
                 Fields().add("file", path.string()).add("why", error));
  }
  from_file_ = std::move(parsed.users);
  mark_ = mark;
  file_known_ = true;
}

void UserDirectory::publish() {
  auto table = std::make_shared<UserTable>();
  for (const UserRecord& user : configured_) table->users.insert_or_assign(user.name, user);
  for (const UserRecord& user : from_file_) {
    if (!table->users.emplace(user.name, user).second) {
      log_.warning("a user stands in the configuration and in the users file; the configuration counts",
                   Fields().add("user", user.name));
    }
  }
  table->complete = file_known_;
  for (const auto& [name, user] : table->users) {
    if (table->decoy_hash.empty()) table->decoy_hash = user.password_hash;
  }
  const std::lock_guard lock(mutex_);
  if (table->decoy_hash.empty() && table_) table->decoy_hash = table_->decoy_hash;
  if (table->decoy_hash.empty()) table->decoy_hash = hash_password("nobody").value_or("");
  table_ = std::move(table);
}

void UserDirectory::reload(SettingsPtr settings) {
  const std::lock_guard loading(loading_);
  std::vector<UserRecord> configured;
  for (const UserSettings& user : settings->users) {
    UserRecord record;
    std::optional<std::size_t> before;
    for (std::size_t i = 0; settings_ && i < settings_->users.size(); ++i) {
      if (same_credentials(settings_->users[i], user)) before = i;
    }
    if (before) {
      record = configured_[*before];
      record.senders = user.senders;
      record.messages = user.messages;
      record.recipients = user.recipients;
      record.tls_required_no = user.tls_required_no;
    } else {
      record = record_of(user);
    }
    configured.push_back(std::move(record));
  }
  configured_ = std::move(configured);
  settings_ = std::move(settings);
  mark_.reset();
  file_known_ = file_known_ && !from_file_.empty();
  read_file(settings_->auth.users_file);
  publish();
}

}  // namespace holdfast
