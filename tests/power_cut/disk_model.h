// tests/power_cut/disk_model.h — what a disk may hold after a power cut, given the calls that came before it.
//
// What was synced is there: a file's octets and length after its fsync, the names in a folder after the
// folder's. Of everything else any part may be there, in whatever order it was written: each 512-octet sector
// of a write may be old, new or torn, a length may be the old one, a later one or between, beyond the synced
// length there may be zeros or rubbish, and each making, removing and renaming of a name may have happened or
// not. That is less than ext4 promises (it orders names, and syncs a new file's name with the file), and no
// less than POSIX does. Sectors that nobody wrote keep what they had, which SQLite relies on
// (SQLITE_IOCAP_POWERSAFE_OVERWRITE).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/power_cut/disk_calls.h"

namespace holdfast {

// Folders and files as they are on disk.
struct DiskImage {
  std::set<std::string> folders;
  std::map<std::string, std::string> files;

  static DiskImage read(const std::filesystem::path& folder);
  void write(const std::filesystem::path& folder) const;  // which is emptied first
  bool operator==(const DiskImage&) const = default;
};

// Which part of what was not synced survives.
enum class Survival {
  nothing,      // all of it is lost
  everything,   // as after a SIGKILL
  last_only,    // of each file and folder, the last change alone
  header_only,  // of the files, only what is written at their very beginning; all names
  in_order,     // what came before some moment
  reordered,    // what came after some moment, and nothing before it
  any,          // any part, by dice
};
const char* name(Survival survival);

class DiskModel {
 public:
  explicit DiskModel(const DiskImage& at_first);

  void play(const DiskCall& call);
  // A disk after a power cut now. The same dice give the same disk.
  DiskImage cut(Survival survival, std::mt19937_64& dice) const;
  bool all_synced() const;

 private:
  struct Change {
    std::uint64_t number = 0;  // of the call
    bool resizes = false;
    std::uint64_t at = 0;  // the offset, or the new length
    std::string octets;
  };
  struct File {
    std::string synced;
    std::vector<Change> pending;
  };
  struct Entry {
    bool is_folder = false;
    std::uint64_t file = 0;
    bool operator==(const Entry&) const = default;
  };
  struct NameChange {
    std::uint64_t number = 0;
    std::string gone;  // "" = nothing goes
    std::string made;  // "" = nothing comes
    Entry entry;
  };
  struct Folder {
    std::map<std::string, Entry> synced, now;  // by path
    std::vector<NameChange> pending;
  };
  class Cutter;

  void change_name(const std::string& gone, const std::string& made, Entry entry);
  static void apply(std::string& octets, const Change& change);
  static void apply(std::map<std::string, Entry>& names, const NameChange& change);

  DiskImage at_first_;
  std::uint64_t calls_ = 0;
  std::map<std::uint64_t, File> files_;
  std::map<std::string, Folder> folders_{{"", {}}};
};

}  // namespace holdfast
