// tests/bench/sync_count.cc — counts what a program asks of the disk, without slowing it down.
//
// A library for LD_PRELOAD: each call that waits for the disk adds one to a counter in the file that
// SYNC_COUNT_FILE names (8 octets, mapped; shared by all processes that inherit both variables), and goes on
// to the C library. Under strace each of them would take longer, so that more messages share one.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>

namespace {

using Counter = std::atomic<std::uint64_t>;
static_assert(Counter::is_always_lock_free);

Counter* open_counter() {
  const char* path = std::getenv("SYNC_COUNT_FILE");
  const int file = path != nullptr ? ::open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666) : -1;
  if (file < 0) return nullptr;
  void* place = MAP_FAILED;
  if (::ftruncate(file, sizeof(Counter)) == 0)
    place = ::mmap(nullptr, sizeof(Counter), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ::close(file);
  return place == MAP_FAILED ? nullptr : static_cast<Counter*>(place);
}

// Before main(): a daemon may give up its rights, and its root directory, later.
Counter* const g_counter = open_counter();

template <class Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

void count() {
  if (g_counter != nullptr) g_counter->fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

extern "C" {

int fsync(int file) {
  static const auto real = next<int (*)(int)>("fsync");
  count();
  return real(file);
}

int fdatasync(int file) {
  static const auto real = next<int (*)(int)>("fdatasync");
  count();
  return real(file);
}

int syncfs(int file) noexcept {
  static const auto real = next<int (*)(int)>("syncfs");
  count();
  return real(file);
}

int sync_file_range(int file, off64_t offset, off64_t length, unsigned flags) {
  static const auto real = next<int (*)(int, off64_t, off64_t, unsigned)>("sync_file_range");
  count();
  return real(file, offset, length, flags);
}

int msync(void* address, size_t length, int flags) {
  static const auto real = next<int (*)(void*, size_t, int)>("msync");
  if ((flags & MS_SYNC) != 0) count();
  return real(address, length, flags);
}
}
