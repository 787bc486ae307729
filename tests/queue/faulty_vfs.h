// tests/queue/faulty_vfs.h — the system's file system as SQLite sees it, with faults to order.
#pragma once

#include <sqlite3.h>

#include <atomic>
#include <cstdint>
#include <new>

namespace holdfast {

struct FaultyVfs {
  // Registers it with SQLite; the name goes into SqliteStoreOptions::vfs. One per process: its switches are
  // shared.
  static const char* name();

  static inline std::atomic<bool> fail_sync = false;  // every sync fails
  static inline std::atomic<bool> no_space =
      false;  // every write that would make a file longer finds the disk full
  static inline std::atomic<std::uint64_t> syncs = 0;  // that were asked for so far
};

namespace faulty_vfs {

inline sqlite3_vfs* system_vfs() { return sqlite3_vfs_find(nullptr); }

// SQLite allocates szOsFile octets for it; the system's file follows.
struct File {
  sqlite3_file base;
  sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};
inline sqlite3_file* real(sqlite3_file* file) { return reinterpret_cast<File*>(file)->real(); }
inline const sqlite3_io_methods& methods(sqlite3_file* file) { return *real(file)->pMethods; }

inline int write(sqlite3_file* file, const void* octets, int size, sqlite3_int64 at) {
  if (FaultyVfs::no_space) {
    sqlite3_int64 length = 0;
    if (methods(file).xFileSize(real(file), &length) != SQLITE_OK || at + size > length) return SQLITE_FULL;
  }
  return methods(file).xWrite(real(file), octets, size, at);
}

inline int sync(sqlite3_file* file, int flags) {
  ++FaultyVfs::syncs;
  if (FaultyVfs::fail_sync) return SQLITE_IOERR_FSYNC;
  return methods(file).xSync(real(file), flags);
}

inline const sqlite3_io_methods kMethods = {
    3,
    [](sqlite3_file* f) { return methods(f).xClose(real(f)); },
    [](sqlite3_file* f, void* p, int n, sqlite3_int64 at) { return methods(f).xRead(real(f), p, n, at); },
    write,
    [](sqlite3_file* f, sqlite3_int64 size) { return methods(f).xTruncate(real(f), size); },
    sync,
    [](sqlite3_file* f, sqlite3_int64* size) { return methods(f).xFileSize(real(f), size); },
    [](sqlite3_file* f, int lock) { return methods(f).xLock(real(f), lock); },
    [](sqlite3_file* f, int lock) { return methods(f).xUnlock(real(f), lock); },
    [](sqlite3_file* f, int* out) { return methods(f).xCheckReservedLock(real(f), out); },
    [](sqlite3_file* f, int op, void* arg) { return methods(f).xFileControl(real(f), op, arg); },
    [](sqlite3_file* f) { return methods(f).xSectorSize(real(f)); },
    [](sqlite3_file* f) { return methods(f).xDeviceCharacteristics(real(f)); },
    [](sqlite3_file* f, int page, int size, int extend, void volatile** out) {
      return methods(f).xShmMap(real(f), page, size, extend, out);
    },
    [](sqlite3_file* f, int offset, int n, int flags) {
      return methods(f).xShmLock(real(f), offset, n, flags);
    },
    [](sqlite3_file* f) { methods(f).xShmBarrier(real(f)); },
    [](sqlite3_file* f, int remove) { return methods(f).xShmUnmap(real(f), remove); },
    [](sqlite3_file* f, sqlite3_int64 at, int n, void** out) {
      return methods(f).xFetch(real(f), at, n, out);
    },
    [](sqlite3_file* f, sqlite3_int64 at, void* p) { return methods(f).xUnfetch(real(f), at, p); },
};

inline int open(sqlite3_vfs*, const char* path, sqlite3_file* file, int flags, int* out_flags) {
  auto* made = new (file) File();
  const int code = system_vfs()->xOpen(system_vfs(), path, made->real(), flags, out_flags);
  made->base.pMethods = made->real()->pMethods == nullptr ? nullptr : &kMethods;
  return code;
}

}  // namespace faulty_vfs

inline const char* FaultyVfs::name() {
  static sqlite3_vfs vfs = [] {
    sqlite3_vfs made = *faulty_vfs::system_vfs();
    made.szOsFile += static_cast<int>(sizeof(faulty_vfs::File));
    made.zName = "faulty";
    made.pNext = nullptr;
    made.xOpen = faulty_vfs::open;
    // The rest keep no state in the vfs object that they are called with, but expect their own.
    made.xDelete = [](sqlite3_vfs*, const char* p, int s) {
      return faulty_vfs::system_vfs()->xDelete(faulty_vfs::system_vfs(), p, s);
    };
    made.xAccess = [](sqlite3_vfs*, const char* p, int f, int* out) {
      return faulty_vfs::system_vfs()->xAccess(faulty_vfs::system_vfs(), p, f, out);
    };
    made.xFullPathname = [](sqlite3_vfs*, const char* p, int n, char* out) {
      return faulty_vfs::system_vfs()->xFullPathname(faulty_vfs::system_vfs(), p, n, out);
    };
    return made;
  }();
  static const int registered = sqlite3_vfs_register(&vfs, 0);
  return registered == SQLITE_OK ? "faulty" : nullptr;
}

}  // namespace holdfast
