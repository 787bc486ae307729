#include "tests/power_cut/disk_calls.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <map>
#include <mutex>
#include <optional>

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using What = DiskCall::What;

class Watch {
 public:
  static Watch& the() {
    static auto* const one = new Watch;  // never destroyed: threads and destructors call until the very end
    return *one;
  }

  void begin(const fs::path& folder, DiskWatcher& watcher, bool tell_found) {
    // Looked at without the lock: the iterator opens folders by the very calls that take it.
    std::map<std::string, std::uint64_t> numbers;
    std::uint64_t number = 0;
    for (auto at = fs::recursive_directory_iterator(folder);
         tell_found && at != fs::recursive_directory_iterator(); ++at) {
      const auto& entry = *at;
      DiskCall call;
      call.what = entry.is_directory() ? What::make_folder : What::found;
      call.path = entry.path().lexically_relative(folder).string();
      if (!entry.is_directory()) call.file = numbers[call.path] = ++number;
      watcher.done(call);
    }
    const std::lock_guard lock(mutex_);
    folder_ = fs::canonical(folder).string() + "/";
    numbers_ = std::move(numbers);
    last_number_ = number;
    open_.clear();
    watcher_ = &watcher;
  }
  void end() {
    const std::lock_guard lock(mutex_);
    watcher_ = nullptr;
    numbers_.clear();
    open_.clear();
  }

  // Runs `act`, the system call, as the watcher orders. Negative: failed, errno says why.
  template <class Act>
  long perform(DiskCall call, Act act) {
    const DiskWatcher::Order order = watcher_->before(call);
    if (order.error != 0) {
      errno = order.error;
      return -1;
    }
    const long result = order.pretend ? 0 : act(order.half);
    if (result >= 0) {
      if (call.what == What::write) call.octets.resize(static_cast<std::size_t>(result));
      watcher_->done(call);
    }
    return result;
  }

  // The path below the watched folder; nullopt: elsewhere. The folder itself is "".
  std::optional<std::string> below(int folder, const char* path) const {
    if (watcher_ == nullptr) return std::nullopt;
    fs::path whole(path);
    if (whole.is_relative()) {
      const auto base = path_of(folder);
      if (base.empty()) return std::nullopt;
      whole = base / whole;
    }
    return below(whole.lexically_normal().string());
  }

  long open(int folder, const char* path, int flags, unsigned mode) {
    const std::lock_guard lock(mutex_);
    const auto act = [&](bool) { return ::syscall(SYS_openat, folder, path, flags, mode); };
    // A folder that is looked through from the one above it is not going to be synced.
    if (folder != AT_FDCWD && (flags & O_DIRECTORY) != 0) return act(false);
    const auto name = below(folder, path);
    if (!name) return act(false);
    const bool fresh = (flags & O_CREAT) != 0 && ::syscall(SYS_faccessat, folder, path, F_OK) != 0;
    DiskCall call;
    call.path = *name;
    if (fresh) {
      call.what = What::create;
      call.file = last_number_ + 1;
      const long descriptor = perform(call, act);
      if (descriptor >= 0) open_[descriptor] = {numbers_[*name] = ++last_number_, *name};
      return descriptor;
    }
    const auto known = numbers_.find(*name);
    if (known != numbers_.end() && (flags & O_TRUNC) != 0) {
      call.what = What::resize;
      call.file = known->second;
      const long descriptor = perform(call, act);
      if (descriptor >= 0) open_[descriptor] = {known->second, *name};
      return descriptor;
    }
    const long descriptor = act(false);
    if (descriptor >= 0) open_[descriptor] = {known == numbers_.end() ? 0 : known->second, *name};
    return descriptor;
  }

  long close(int descriptor) {
    const std::lock_guard lock(mutex_);
    open_.erase(descriptor);
    return ::syscall(SYS_close, descriptor);
  }

  // `at` < 0: where the descriptor stands.
  long write(int descriptor, const void* octets, std::size_t size, std::int64_t at) {
    const std::lock_guard lock(mutex_);
    const auto act = [&](bool half) {
      const std::size_t n = half ? size / 2 : size;
      return at < 0 ? ::syscall(SYS_write, descriptor, octets, n)
                    : ::syscall(SYS_pwrite64, descriptor, octets, n, at);
    };
    const auto file = open_.find(descriptor);
    if (watcher_ == nullptr || file == open_.end()) return act(false);
    DiskCall call;
    call.file = file->second.number;
    call.path = file->second.path;
    const bool appends = at < 0 && (::fcntl(descriptor, F_GETFL) & O_APPEND) != 0;
    const std::int64_t where = at >= 0 ? at : ::lseek(descriptor, 0, appends ? SEEK_END : SEEK_CUR);
    call.at = static_cast<std::uint64_t>(where);
    call.octets.assign(static_cast<const char*>(octets), size);
    return perform(std::move(call), act);
  }

  template <class Act>
  long on_file(What what, int descriptor, std::uint64_t length, Act system_call) {
    const std::lock_guard lock(mutex_);
    const auto act = [&](bool) { return system_call(); };
    const auto file = open_.find(descriptor);
    if (watcher_ == nullptr || file == open_.end()) return act(false);
    DiskCall call;
    call.what = what == What::sync && file->second.number == 0 ? What::sync_folder : what;
    call.file = file->second.number;
    call.path = file->second.path;
    call.at = length;
    return perform(std::move(call), act);
  }

  template <class Act>
  long on_name(What what, int folder, const char* path, Act system_call) {
    const std::lock_guard lock(mutex_);
    const auto act = [&](bool) { return system_call(); };
    const auto name = below(folder, path);
    // Making a folder that is there already is only a question.
    const bool asks = what == What::make_folder && ::syscall(SYS_faccessat, folder, path, F_OK) == 0;
    if (!name || asks) return act(false);
    DiskCall call;
    call.what = what;
    call.path = *name;
    const long result = perform(std::move(call), act);
    if (result == 0 && what == What::remove) numbers_.erase(*name);
    return result;
  }

  template <class Act>
  long rename(int from_folder, const char* from, int to_folder, const char* to, Act system_call) {
    const std::lock_guard lock(mutex_);
    const auto act = [&](bool) { return system_call(); };
    const auto old_name = below(from_folder, from);
    const auto new_name = below(to_folder, to);
    if (!old_name || !new_name) return act(false);
    DiskCall call;
    call.what = What::rename;
    call.path = *old_name;
    call.to = *new_name;
    const long result = perform(std::move(call), act);
    if (result == 0) {
      numbers_[*new_name] = numbers_[*old_name];
      numbers_.erase(*old_name);
    }
    return result;
  }

 private:
  struct Open {
    std::uint64_t number = 0;  // 0: a folder
    std::string path;
  };

  static fs::path path_of(int folder) {
    char name[4096];
    const std::string link =
        folder == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/" + std::to_string(folder);
    const long size = ::syscall(SYS_readlink, link.c_str(), name, sizeof name);
    return size <= 0 ? fs::path() : fs::path(std::string(name, static_cast<std::size_t>(size)));
  }
  std::optional<std::string> below(std::string path) const {
    if (!path.ends_with('/')) path += '/';
    if (!path.starts_with(folder_)) return std::nullopt;
    path = path.substr(folder_.size());
    if (!path.empty()) path.pop_back();
    return path;
  }

  std::mutex mutex_;
  DiskWatcher* watcher_ = nullptr;
  std::string folder_;  // with the slash
  std::uint64_t last_number_ = 0;
  std::map<std::string, std::uint64_t> numbers_;  // of the files, by name
  std::map<long, Open> open_;                     // by descriptor
};

Watch& watch() { return Watch::the(); }

}  // namespace

const char* name(DiskCall::What what) {
  const char* const names[] = {"found", "make folder", "create", "write", "resize",
                               "sync",  "sync folder", "remove", "rename"};
  return names[static_cast<int>(what)];
}

void begin_watch(const fs::path& folder, DiskWatcher& watcher, bool tell_found) {
  watch().begin(folder, watcher, tell_found);
}
void end_watch() { watch().end(); }

}  // namespace holdfast

// The C library's names. Declared anew, by label, since its headers define some of them inline.
#define CALL(result, ours, theirs, ...)                                                       \
  extern "C" __attribute__((visibility("default"))) result ours(__VA_ARGS__) __asm__(theirs); \
  result ours(__VA_ARGS__)

namespace {

using What = holdfast::DiskCall::What;

unsigned mode_of(int flags, va_list& rest) { return (flags & O_CREAT) != 0 ? va_arg(rest, unsigned) : 0; }

int open_below(int folder, const char* path, int flags, unsigned mode) {
  return static_cast<int>(holdfast::watch().open(folder, path, flags, mode));
}

}  // namespace

#define OPEN_CALL(ours, theirs)                               \
  CALL(int, ours, theirs, const char* path, int flags, ...) { \
    va_list rest;                                             \
    va_start(rest, flags);                                    \
    const unsigned mode = mode_of(flags, rest);               \
    va_end(rest);                                             \
    return open_below(AT_FDCWD, path, flags, mode);           \
  }
#define OPEN_AT_CALL(ours, theirs)                                        \
  CALL(int, ours, theirs, int folder, const char* path, int flags, ...) { \
    va_list rest;                                                         \
    va_start(rest, flags);                                                \
    const unsigned mode = mode_of(flags, rest);                           \
    va_end(rest);                                                         \
    return open_below(folder, path, flags, mode);                         \
  }
OPEN_CALL(our_open, "open")
OPEN_CALL(our_open64, "open64")
OPEN_AT_CALL(our_openat, "openat")
OPEN_AT_CALL(our_openat64, "openat64")
CALL(int, our_open_2, "__open_2", const char* path, int flags) {
  return open_below(AT_FDCWD, path, flags, 0);
}
CALL(int, our_open64_2, "__open64_2", const char* path, int flags) {
  return open_below(AT_FDCWD, path, flags, 0);
}
CALL(int, our_close, "close", int descriptor) {
  return static_cast<int>(holdfast::watch().close(descriptor));
}
CALL(long, our_write, "write", int descriptor, const void* octets, std::size_t size) {
  return holdfast::watch().write(descriptor, octets, size, -1);
}
CALL(long, our_pwrite, "pwrite", int descriptor, const void* octets, std::size_t size, long at) {
  return holdfast::watch().write(descriptor, octets, size, at);
}
CALL(long, our_pwrite64, "pwrite64", int descriptor, const void* octets, std::size_t size, long at) {
  return holdfast::watch().write(descriptor, octets, size, at);
}
CALL(int, our_fsync, "fsync", int descriptor) {
  return static_cast<int>(
      holdfast::watch().on_file(What::sync, descriptor, 0, [&] { return ::syscall(SYS_fsync, descriptor); }));
}
CALL(int, our_fdatasync, "fdatasync", int descriptor) {
  return static_cast<int>(holdfast::watch().on_file(What::sync, descriptor, 0,
                                                    [&] { return ::syscall(SYS_fdatasync, descriptor); }));
}

namespace {

int resize(int descriptor, long length) {
  return static_cast<int>(
      holdfast::watch().on_file(What::resize, descriptor, static_cast<std::uint64_t>(length),
                                [&] { return ::syscall(SYS_ftruncate, descriptor, length); }));
}
int remove_at(int folder, const char* path, int flags) {
  return static_cast<int>(holdfast::watch().on_name(
      What::remove, folder, path, [&] { return ::syscall(SYS_unlinkat, folder, path, flags); }));
}
int make_at(int folder, const char* path, unsigned mode) {
  return static_cast<int>(holdfast::watch().on_name(
      What::make_folder, folder, path, [&] { return ::syscall(SYS_mkdirat, folder, path, mode); }));
}
int rename_at(int from_folder, const char* from, int to_folder, const char* to) {
  return static_cast<int>(holdfast::watch().rename(from_folder, from, to_folder, to, [&] {
    return ::syscall(SYS_renameat2, from_folder, from, to_folder, to, 0);
  }));
}

}  // namespace

CALL(int, our_ftruncate, "ftruncate", int descriptor, long length) { return resize(descriptor, length); }
CALL(int, our_ftruncate64, "ftruncate64", int descriptor, long length) { return resize(descriptor, length); }
CALL(int, our_unlink, "unlink", const char* path) { return remove_at(AT_FDCWD, path, 0); }
CALL(int, our_unlinkat, "unlinkat", int folder, const char* path, int flags) {
  return remove_at(folder, path, flags);
}
CALL(int, our_rmdir, "rmdir", const char* path) { return remove_at(AT_FDCWD, path, AT_REMOVEDIR); }
CALL(int, our_mkdir, "mkdir", const char* path, unsigned mode) { return make_at(AT_FDCWD, path, mode); }
CALL(int, our_mkdirat, "mkdirat", int folder, const char* path, unsigned mode) {
  return make_at(folder, path, mode);
}
CALL(int, our_rename, "rename", const char* from, const char* to) {
  return rename_at(AT_FDCWD, from, AT_FDCWD, to);
}
CALL(int, our_renameat, "renameat", int from_folder, const char* from, int to_folder, const char* to) {
  return rename_at(from_folder, from, to_folder, to);
}
