#include "mta/cli/users_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

#include "mta/cli/exit_code.h"

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

}  // namespace holdfast
