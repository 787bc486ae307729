// smtp/server/user_directory.h — who there is: the users of the configuration and of the users file, as one
// table.
//
// A name in the configuration wins over the same name in the file. The file is read again when its time, size
// or inode has changed; one that cannot be read any more leaves the users as they were.
//
// SCRAM tells a salt to whoever asks. That of a name that nobody has follows from the name and from the key
// data_dir/scram.key; so does that of a user whose password is here in clear, or whom `holdfast user add`
// made. Neither changes by a restart, a reload, another user or a new password. Without data_dir, or when the
// key cannot be kept there, it is of this process alone.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "config/settings.h"
#include "config/users_file.h"
#include "smtp/base/clock.h"
#include "smtp/base/log.h"

namespace holdfast {

// The salt (16 octets, raw) that SCRAM tells of a name that nobody has, by the key in data_dir/kSaltKeyFile.
inline constexpr const char* kSaltKeyFile = "scram.key";
std::string scram_salt(std::string_view key, std::string_view name);

struct UserTable {
  std::map<std::string, UserRecord, std::less<>> users;
  // A hash to compare with where there is none, so that unknown users take as long as known ones: that of
  // some real user, since it costs what hashes cost here. A match with it means nothing.
  std::string decoy_hash;
  bool complete = true;  // false: the users file was never read

  const UserRecord* find(std::string_view name) const;
  // Keys for who has none: the salt follows from the name and from decoy_key, so that it is the same on each
  // try and after a restart, as a real one is; no password fits them.
  ScramKeys decoy_scram(std::string_view name) const;
  // What a client may be told of `user`: its keys; for a suspended one its salt with keys that fit nothing,
  // so that a suspension does not show; decoys when it has none.
  ScramKeys scram_for(std::string_view name, const UserRecord* user) const;
  std::string decoy_key;
  unsigned decoy_iterations = kScramIterations;  // those of some real user
};

// Thread-safe. `clock` and `log` outlive it.
class UserDirectory {
 public:
  // Hashes the clear passwords of the configuration, which takes about 20 ms each, and reads the users file.
  UserDirectory(SettingsPtr settings, Clock& clock, Log& log);

  std::shared_ptr<const UserTable> table() const;

  // Whether it is time to look at the file again; true for one caller, who then calls refresh().
  bool refresh_is_due();
  // Looks at the file and reads it if it has changed. Blocks: for the blocking pool.
  void refresh();

  // A new configuration. Blocks like the constructor.
  void reload(SettingsPtr settings);

 private:
  struct FileMark {
    std::int64_t seconds = 0, nanoseconds = 0, size = -1;
    std::uint64_t inode = 0;
    bool operator==(const FileMark&) const = default;
  };
  static std::optional<FileMark> mark_of(const std::filesystem::path& path);
  void read_file(const std::filesystem::path& path);
  void publish();

  Clock& clock_;
  Log& log_;
  const std::string key_;  // of salts
  std::mutex loading_;     // held while files are read and passwords hashed
  SettingsPtr settings_;
  std::vector<UserRecord> configured_, from_file_;
  std::optional<FileMark> mark_;  // of what from_file_ was read from
  bool file_known_ = false;       // read, or known not to exist

  mutable std::mutex mutex_;  // for what follows; never held for long
  std::shared_ptr<const UserTable> table_;
  SteadyTime next_look_{};
};

}  // namespace holdfast
