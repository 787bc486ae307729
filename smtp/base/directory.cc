#include "smtp/base/directory.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "smtp/base/base_error.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

enum class Synced { yes, not_ours, failed };  // errno says why

Synced try_sync(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return errno == EACCES ? Synced::not_ours : Synced::failed;
  const bool synced = ::fsync(descriptor) == 0;
  const int code = errno;
  ::close(descriptor);
  errno = code;
  if (synced) return Synced::yes;
  return code == EROFS || code == EINVAL ? Synced::not_ours : Synced::failed;
}

Error syncing_failed(const fs::path& path) {
  return Error(BaseError::io, "syncing " + path.string() + ": " + std::strerror(errno));
}

}  // namespace

Result<void> sync_directory(const fs::path& path) {
  if (try_sync(path) == Synced::yes) return {};
  return syncing_failed(path);
}

Result<bool> make_directories(const fs::path& path) {
  std::error_code code;
  fs::path whole = fs::absolute(path, code).lexically_normal();
  if (code) return Error(BaseError::io, path.string() + ": " + code.message());
  if (!whole.has_filename()) whole = whole.parent_path();  // "a/b/"
  std::vector<fs::path> missing;
  for (fs::path at = whole; !fs::is_directory(at, code) && at.has_relative_path(); at = at.parent_path())
    missing.push_back(at);
  const bool fresh = !missing.empty();
  if (fs::create_directories(whole, code); code)
    return Error(BaseError::io, "making " + path.string() + ": " + code.message());
  for (const auto& made : missing)
    if (try_sync(made.parent_path()) != Synced::yes) return syncing_failed(made.parent_path());
  // One that is there may be from a life that was cut off before it could sync. Where we may not even look,
  // or nobody may write, it was not we who made it.
  if (!fresh && try_sync(whole.parent_path()) == Synced::failed) return syncing_failed(whole.parent_path());
  return fresh;
}

}  // namespace holdfast
