#include "queue/body_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

namespace holdfast {
namespace {

namespace fs = std::filesystem;

Error error_from_errno(std::string_view doing, const fs::path& path) {
  const int code = errno;
  const bool full = code == ENOSPC || code == EDQUOT;
  return Error(full ? StoreError::full : StoreError::io,
               std::string(doing) + " " + path.string() + ": " + std::strerror(code));
}

// The kernel may have dropped what it could not write, and call the next sync good. That there is no room
// harms only this file.
Error failed_sync(const fs::path& path) {
  Error error = error_from_errno("syncing", path);
  if (error.is(StoreError::full)) return error;
  return Error(StoreError::failed_for_good, error.detail);
}

Result<void> sync_directory(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return error_from_errno("opening", path);
  const bool synced = ::fsync(descriptor) == 0;
  auto result = synced ? Result<void>() : Result<void>(failed_sync(path));
  ::close(descriptor);
  return result;
}

// Asks ext4 to spread the subdirectories over the disk (chattr +T): next to each other they share one table
// of inodes, and without a journal a new file is looked for behind all that were removed from it in the last
// seconds, half a millisecond each. Other file systems know no such wish.
void spread_subdirectories(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  int flags = 0;
  if (::ioctl(descriptor, FS_IOC_GETFLAGS, &flags) == 0) {
    flags |= FS_TOPDIR_FL;
    ::ioctl(descriptor, FS_IOC_SETFLAGS, &flags);
  }
  ::close(descriptor);
}

}  // namespace

BodyFile::~BodyFile() { ::close(descriptor_); }

Result<void> BodyFile::write(std::string_view octets) {
  while (!octets.empty()) {
    const ssize_t written = ::write(descriptor_, octets.data(), octets.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return error_from_errno("writing", path_);
    // POSIX leaves it open, and a file system may go on answering so: an error, or this would never end.
    if (written == 0) return Error(StoreError::io, "writing " + path_.string() + ": nothing was written");
    octets.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

Result<void> BodyFile::sync() {
  if (::fsync(descriptor_) != 0) return failed_sync(path_);
  return sync_directory(path_.parent_path());
}

Result<std::size_t> BodyFile::read(std::span<char> into) {
  while (true) {
    const ssize_t got = ::read(descriptor_, into.data(), into.size());
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR) return error_from_errno("reading", path_);
  }
}

Result<std::string> BodyFile::read(std::size_t size) {
  std::string octets(size, '\0');
  auto got = read(std::span<char>(octets));
  if (!got) return got.error();
  octets.resize(*got);
  return octets;
}

std::optional<Result<std::size_t>> BodyFile::read_cached(std::span<char> into) {
  const iovec where{into.data(), into.size()};
  const ssize_t got = ::preadv2(descriptor_, &where, 1, -1, RWF_NOWAIT);
  if (got >= 0) return static_cast<std::size_t>(got);
  // A file system may know no such reads; what else is wrong shows at the read that waits.
  return std::nullopt;
}

BodyFiles::BodyFiles(fs::path directory) : directory_(std::move(directory)), random_(make_system_random()) {}

Result<std::unique_ptr<BodyFiles>> BodyFiles::open(fs::path directory) {
  std::error_code code;
  auto make = [&](const fs::path& path) {
    fs::create_directory(path, code);
    if (!code) fs::permissions(path, fs::perms::owner_all, code);
    return !code;
  };
  if (!make(directory)) return Error(StoreError::io, directory.string() + ": " + code.message());
  spread_subdirectories(directory);
  // All at once: afterwards a new file needs one directory synced, not two.
  for (unsigned i = 0; i < 256; ++i) {
    const fs::path path = directory / fmt::format("{:02x}", i);
    if (!make(path)) return Error(StoreError::io, path.string() + ": " + code.message());
  }
  for (const fs::path& path : {directory, directory.parent_path()})
    if (auto synced = sync_directory(path); !synced) return Error(StoreError::io, synced.error().detail);
  return std::make_unique<BodyFiles>(std::move(directory));
}

std::string BodyFiles::new_name() const {
  const std::string number = fmt::format("{:016x}{:016x}", random_->next(), random_->next());
  return number.substr(0, 2) + "/" + number;
}

Result<std::unique_ptr<BodyFile>> BodyFiles::create(const std::string& name) const {
  fs::path path = directory_ / name;
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (descriptor < 0) return error_from_errno("creating", path);
  return std::make_unique<BodyFile>(descriptor, std::move(path));
}

Result<std::unique_ptr<BodyFile>> BodyFiles::open_for_reading(const std::string& name) const {
  fs::path path = directory_ / name;
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0 && errno == ENOENT) return Error(StoreError::not_found, path.string());
  if (descriptor < 0) return error_from_errno("opening", path);
  return std::make_unique<BodyFile>(descriptor, std::move(path));
}

void BodyFiles::remove(const std::string& name) const { ::unlink((directory_ / name).c_str()); }

std::size_t BodyFiles::remove_orphans(const std::function<bool(const std::string&)>& known) const {
  std::size_t removed = 0;
  std::error_code code;
  for (auto at = fs::recursive_directory_iterator(directory_, code);
       !code && at != fs::recursive_directory_iterator(); at.increment(code)) {
    if (!at->is_regular_file(code)) continue;
    const std::string name = fs::relative(at->path(), directory_, code).string();
    if (code || known(name)) continue;
    remove(name);
    ++removed;
  }
  return removed;
}

}  // namespace holdfast
