#include "queue/sqlite_caretaker.h"

#include <sqlite3.h>
#include <sys/statvfs.h>

namespace holdfast {

FileSystemSpace space_of(const std::filesystem::path& path) {
  struct statvfs info {};
  if (::statvfs(path.c_str(), &info) != 0) return {};
  return {std::uint64_t{info.f_bavail} * info.f_frsize, std::uint64_t{info.f_blocks} * info.f_frsize};
}

bool is_below(const DiskReserve& reserve, const FileSystemSpace& space) {
  if (space.total == 0) return false;  // unknown: writing will tell
  if (reserve.bytes > 0) return space.free < reserve.bytes;
  return static_cast<double>(space.free) < static_cast<double>(space.total) * reserve.percent / 100;
}

SqliteCaretaker::SqliteCaretaker(std::filesystem::path directory, DiskReserve reserve, Metrics& metrics)
    : directory_(std::move(directory)), reserve_(reserve), metrics_(metrics) {
  look_at_space();
}

SqliteCaretaker::~SqliteCaretaker() { stop(); }

void SqliteCaretaker::start(SqliteDb db, std::function<void(std::string)> on_failed_sync) {
  db_ = std::move(db);
  on_failed_sync_ = std::move(on_failed_sync);
  thread_ = std::thread([this] { run(); });
}

void SqliteCaretaker::want_checkpoint() {
  const std::lock_guard lock(mutex_);
  checkpoint_ = true;
  wake_.notify_one();
}

void SqliteCaretaker::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

void SqliteCaretaker::look_at_space() {
  const FileSystemSpace space = space_of(directory_);
  low_ = is_below(reserve_, space);
  metrics_.set("store_free_bytes", static_cast<double>(space.free));
}

void SqliteCaretaker::run() {
  while (true) {
    bool checkpoint = false;
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, std::chrono::seconds(1), [this] { return stopping_ || checkpoint_; });
      if (stopping_) return;
      checkpoint = std::exchange(checkpoint_, false);
    }
    look_at_space();
    if (!checkpoint) continue;
    const int code =
        sqlite3_wal_checkpoint_v2(db_.handle(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
    // Busy or full: the next one does it. A failed sync loses pages that the log would no longer give back.
    if (code == SQLITE_IOERR_FSYNC) on_failed_sync_("syncing the database failed in a checkpoint");
  }
}

}  // namespace holdfast
