#include "smtp/server/user_directory.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "smtp/base/base_error.h"
#include "smtp/base/key_file.h"
#include "smtp/base/result.h"
#include "smtp/wire/base64.h"

namespace holdfast {
namespace {

constexpr Duration kUsersLookInterval = std::chrono::seconds(1);

constexpr std::size_t kSaltSize = 16;  // as make_scram() has it

std::string salt_key(const Settings& settings, Log& log) {
  if (settings.data_dir.empty()) return random_key();
  auto key = load_or_make_key(settings.data_dir / kSaltKeyFile);
  if (key) return std::move(*key);
  log.warning("the key of SCRAM salts cannot be kept: after a restart they tell users from unknown names",
              Fields().add("why", key.error().detail));
  return random_key();
}

std::string derived(std::string_view key, std::string_view purpose, std::string_view name) {
  std::array<unsigned char, 32> mac{};
  std::string text(purpose);
  text += name;
  unsigned length = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac.data(), &length);
  return std::string(reinterpret_cast<const char*>(mac.data()), mac.size());
}

UserRecord record_of(const UserSettings& user, std::string_view key) {
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
    // The salt that the name had when nobody had the name: it does not tell that somebody has it now.
    record.scram = derive_scram(user.password, scram_salt(key, user.name));
  }
  return record;
}

Result<std::string> read_whole(const std::filesystem::path& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return Error(BaseError::io, std::strerror(errno));
  std::string text;
  char buffer[16384];
  ssize_t count = 0;
  while ((count = ::read(file, buffer, sizeof buffer)) != 0) {
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) break;
    text.append(buffer, static_cast<std::size_t>(count));
  }
  const int cause = errno;
  ::close(file);
  if (count < 0) return Error(BaseError::io, std::strerror(cause));
  return text;
}

// The same work for the same clear password need not be done again on reload, but whether it is the same
// cannot be told from the hash alone.
bool same_credentials(const UserSettings& a, const UserSettings& b) {
  return a.name == b.name && a.password == b.password && a.password_hash == b.password_hash;
}

}  // namespace

std::string scram_salt(std::string_view key, std::string_view name) {
  return derived(key, "salt ", name).substr(0, kSaltSize);
}

const UserRecord* UserTable::find(std::string_view name) const {
  const auto found = users.find(name);
  return found == users.end() ? nullptr : &found->second;
}

ScramKeys UserTable::decoy_scram(std::string_view name) const {
  ScramKeys keys;
  keys.iterations = decoy_iterations;
  keys.salt = base64_encode(scram_salt(decoy_key, name));
  keys.stored_key = base64_encode(derived(decoy_key, "stored ", name));
  keys.server_key = base64_encode(derived(decoy_key, "server ", name));
  return keys;
}

ScramKeys UserTable::scram_for(std::string_view name, const UserRecord* user) const {
  if (user != nullptr && user->scram && !user->suspended) return *user->scram;
  ScramKeys keys = decoy_scram(name);
  if (user != nullptr && user->scram) {
    keys.salt = user->scram->salt;
    keys.iterations = user->scram->iterations;
  }
  return keys;
}

UserDirectory::UserDirectory(SettingsPtr settings, Clock& clock, Log& log)
    : clock_(clock), log_(log), key_(salt_key(*settings, log)) {
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
  next_look_ = now + kUsersLookInterval;
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
  auto text = read_whole(path);
  if (!mark || !text) {
    log_.error("the users file cannot be read; its users stay as they were",
               Fields().add("file", path.string()).add("why", text ? "no permission" : text.error().detail));
    return;
  }
  UsersFile parsed = parse_users(*text);
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
  table->decoy_key = key_;
  for (const auto& [name, user] : table->users) {
    if (table->decoy_hash.empty()) table->decoy_hash = user.password_hash;
    if (user.scram) table->decoy_iterations = user.scram->iterations;
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
      record = record_of(user, key_);
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
