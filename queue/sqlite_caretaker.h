// queue/sqlite_caretaker.h — what happens beside the commits: free space, once a second, and checkpoints,
// which move the write-ahead log into the database while commits go on.
#pragma once

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "config/settings.h"
#include "smtp/base/metrics.h"
#include "smtp/base/sqlite.h"

namespace holdfast {

struct FileSystemSpace {
  std::uint64_t free = 0, total = 0;  // octets; free to a process without privileges
};
FileSystemSpace space_of(const std::filesystem::path& path);
bool is_below(const DiskReserve& reserve, const FileSystemSpace& space);

class SqliteCaretaker {
 public:
  SqliteCaretaker(std::filesystem::path directory, DiskReserve reserve, Metrics& metrics);
  ~SqliteCaretaker();  // as stop()

  // `on_failed_sync` is called when a checkpoint could not sync: the database can no longer be trusted.
  void start(SqliteDb db, std::function<void(std::string)> on_failed_sync);
  void want_checkpoint();
  bool low_on_space() const { return low_; }
  void stop();

 private:
  void run();
  void look_at_space();

  std::filesystem::path directory_;
  DiskReserve reserve_;
  Metrics& metrics_;
  SqliteDb db_;
  std::function<void(std::string)> on_failed_sync_;
  std::atomic<bool> low_ = false;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  bool checkpoint_ = false;
  std::thread thread_;
};

}  // namespace holdfast
