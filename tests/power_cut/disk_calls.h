// tests/power_cut/disk_calls.h — the calls by which this process changes files, seen beneath the C library.
//
// disk_calls.cc defines open, write, fsync and so on itself, so that the program and the libraries it loads
// (SQLite, libstdc++) call those. What happens below one watched folder is told to a watcher, one call at a
// time, in the order in which it happens; everything else passes. The store under test has no switch for it.
//
// Not seen: what is written through a mapping (SQLite's shared memory file, which says nothing after a
// restart).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace holdfast {

// Paths are relative to the watched folder. Files have numbers, which outlive their names.
struct DiskCall {
  enum class What {
    found,  // file `file` was there when the watch began
    make_folder,
    create,
    write,
    resize,
    sync,
    sync_folder,
    remove,
    rename,
  };
  What what = What::write;
  std::uint64_t file = 0;  // found, create, write, resize, sync
  std::string path;        // of the file or folder
  std::string to;          // rename
  std::uint64_t at = 0;    // write: offset; resize: the new length
  std::string octets;      // write
};
const char* name(DiskCall::What what);

class DiskWatcher {
 public:
  struct Order {
    int error = 0;         // fail with this
    bool half = false;     // a write: half of the octets, as a nearly full disk does
    bool pretend = false;  // a sync: say yes and do nothing
  };
  virtual ~DiskWatcher() = default;
  virtual Order before(const DiskCall& call) = 0;
  virtual void done(const DiskCall& call) = 0;  // it succeeded, and changed or synced what `call` says
};

// From here on, until end_watch(). One watch at a time; the watcher is called under a lock. `tell_found`:
// what is there is told first, and files are known by their numbers.
void begin_watch(const std::filesystem::path& folder, DiskWatcher& watcher, bool tell_found = true);
void end_watch();

}  // namespace holdfast
