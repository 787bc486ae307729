// tests/queue/sync_seam.h — every sync of this process, with faults to order: what the store syncs itself
// (bodies and their folders) and what SQLite syncs (its log, at a close the database).
//
// sync_faults_test.cc defines fsync() and fdatasync(), so that the program and the libraries it loads call
// these; they come here.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <filesystem>
#include <mutex>
#include <set>
#include <string>
#include <system_error>

namespace holdfast {

class SyncSeam {
 public:
  static SyncSeam& instance() {
    static SyncSeam seam;
    return seam;
  }

  // From here on syncs are counted; the `fail_at`-th (from 1) fails with EIO, and with `sticky` all after it.
  void watch(std::size_t fail_at, bool sticky) {
    const std::lock_guard lock(mutex_);
    watching_ = true;
    count_ = given_ = 0;
    fail_at_ = fail_at;
    sticky_ = sticky;
  }
  void stop_watching() {
    const std::lock_guard lock(mutex_);
    watching_ = held_ = false;
    changed_.notify_all();
  }
  // Syncs of the database and its log wait until they are let go.
  void hold_database() {
    const std::lock_guard lock(mutex_);
    held_ = true;
  }
  void let_go() {
    const std::lock_guard lock(mutex_);
    held_ = false;
    changed_.notify_all();
  }
  bool is_one_waiting() const {
    const std::lock_guard lock(mutex_);
    return waiting_ > 0;
  }
  // Errors given since watch().
  std::size_t given() const {
    const std::lock_guard lock(mutex_);
    return given_;
  }
  // What errors were given to, over all: "body", "folder of bodies", "log", "database".
  std::set<std::string> failed() const {
    const std::lock_guard lock(mutex_);
    return failed_;
  }

  // True when this sync is to fail.
  bool fails(int descriptor) {
    if (!watching_) return false;
    std::unique_lock lock(mutex_);
    const std::string what = name_of(descriptor);
    if (what == "log" || what == "database") {
      ++waiting_;
      // A test that never lets go fails by its own conditions.
      changed_.wait_for(lock, std::chrono::seconds(30), [this] { return !held_; });
      --waiting_;
    }
    ++count_;
    const bool is_its_turn = count_ == fail_at_ || (sticky_ && fail_at_ != 0 && count_ > fail_at_);
    if (!watching_ || !is_its_turn) return false;
    ++given_;
    failed_.insert(what);
    return true;
  }

 private:
  static std::string name_of(int descriptor) {
    std::error_code code;
    const auto path = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(descriptor), code);
    if (path.parent_path().filename() == "bodies") return "folder of bodies";
    if (path.parent_path().parent_path().filename() == "bodies") return "body";
    if (path.filename() == "queue.db-wal") return "log";
    if (path.filename() == "queue.db") return "database";
    return path.filename();
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<bool> watching_ = false;
  bool sticky_ = false, held_ = false;
  std::size_t fail_at_ = 0, count_ = 0, given_ = 0, waiting_ = 0;
  std::set<std::string> failed_;
};

}  // namespace holdfast
