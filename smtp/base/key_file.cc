#include "smtp/base/key_file.h"

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <system_error>

#include "smtp/base/base_error.h"
#include "smtp/base/directory.h"

namespace holdfast {
namespace {

Error key_error(const std::filesystem::path& file) {
  return Error(BaseError::io, file.string() + ": " + std::strerror(errno));
}

bool write_synced(int out, const std::string& key) {
  return ::write(out, key.data(), key.size()) == static_cast<ssize_t>(key.size()) && ::fsync(out) == 0;
}

// Gives the draft its name unless that is taken: by another process's key, or by what is no key.
bool place_new(const std::string& draft, const std::filesystem::path& file) {
  if (::link(draft.c_str(), file.c_str()) == 0) return true;
  if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS) return false;
  // A file system without hard links.
  if (::renameat2(AT_FDCWD, draft.c_str(), AT_FDCWD, file.c_str(), RENAME_NOREPLACE) == 0) return true;
  // Nor with this: who calls looks once more before it replaces.
  if (errno == EINVAL || errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS) errno = EEXIST;
  return false;
}

}  // namespace

std::string random_key() {
  std::string key(kKeySize, '\0');
  ssize_t got = 0;
  do {
    got = ::getrandom(key.data(), key.size(), 0);  // so few octets come whole or not at all
  } while (got < 0 && errno == EINTR);
  if (got != static_cast<ssize_t>(key.size()))
    throw std::system_error(errno, std::generic_category(), "getrandom");
  return key;
}

Result<std::optional<std::string>> read_key(const std::filesystem::path& file) {
  const int in = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (in < 0 && errno == ENOENT) return std::optional<std::string>();
  if (in < 0) return key_error(file);
  std::string key(kKeySize, '\0');
  const ssize_t got = ::read(in, key.data(), key.size());
  const int cause = errno;
  ::close(in);
  errno = cause;
  if (got < 0) return key_error(file);
  if (got != static_cast<ssize_t>(kKeySize)) return std::optional<std::string>();
  return std::optional<std::string>(std::move(key));
}

Result<std::string> load_or_make_key(const std::filesystem::path& file) {
  auto known = read_key(file);
  if (!known) return known.error();
  if (*known) return std::move(**known);
  const std::string key = random_key();
  std::string draft = file.string() + ".XXXXXX";
  const int out = ::mkostemp(draft.data(), O_CLOEXEC);  // mode 0600
  if (out < 0) return key_error(file);
  const bool written = write_synced(out, key);
  const int cause = errno;
  ::close(out);
  errno = cause;
  bool placed = written && place_new(draft, file);
  if (written && !placed && errno == EEXIST) {
    known = read_key(file);
    if (known && *known) {
      ::unlink(draft.c_str());
      return std::move(**known);
    }
    placed = ::rename(draft.c_str(), file.c_str()) == 0;
  }
  if (!placed) {
    Error error = key_error(file);
    ::unlink(draft.c_str());
    return error;
  }
  ::unlink(draft.c_str());
  const auto parent = file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
  if (auto synced = sync_directory(parent); !synced) return synced.error();
  return key;
}

}  // namespace holdfast
