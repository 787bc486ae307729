// queue/sqlite_committer.h — the one thread that writes queue.db.
//
// Procedure: takes everything that waits, up to a bound, into one transaction and syncs it once; while it
// syncs, the next group gathers. When a group fails before its sync, its batches are done again one by one,
// so that one that breaks a rule, or finds the disk full, does not fail its neighbours. When a commit fails
// for any reason but a full disk, nothing that is on disk can be trusted: nothing more is acknowledged, ever
// (failed()).
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "queue/body_cache.h"
#include "queue/sqlite_quota.h"
#include "queue/sqlite_thread.h"
#include "queue/sqlite_writer.h"
#include "smtp/base/log.h"
#include "smtp/base/metrics.h"

namespace holdfast {

struct HistoryLimits {
  Duration keep{};
  std::uint64_t size = 0;  // octets
};

class SqliteCommitter {
 public:
  // What it works with; all outlive it.
  struct Parts {
    LeaseTable& leases;
    DueIndex& due;
    BodyCache& cache;
    const BodyFiles& files;
    JobThreads& file_threads;
    SqliteQuota& quota;
    Clock& clock;
    const Timeline& timeline;
    Log& log;
    Metrics& metrics;
  };
  using Done = std::function<void(Result<ApplyResult>)>;

  SqliteCommitter(Parts parts, HistoryLimits history);
  ~SqliteCommitter();  // as close()

  // Opens with the writing connection and starts the thread. `want_checkpoint` is called, on that thread,
  // when the write-ahead log has grown.
  Result<void> start(SqliteDb db, std::function<void()> want_checkpoint);

  void submit(Batch batch, Done done);  // `done` is called on the thread
  void set_aside(std::vector<RecipientId> recipients);
  // A sync failed somewhere else.
  void fail_for_good(const std::string& why);
  bool failed() const { return failed_; }
  StoreCounters counters() const;
  void close();  // commits what waits, then ends; blocks

 private:
  struct Job {
    Batch batch;
    std::vector<RecipientId> set_aside;
    Done done;
    std::size_t size = 0;  // octets, about
    std::optional<Result<ApplyResult>> result;
  };
  void run();
  std::vector<Job> next_group();
  bool is_group(std::size_t enough) const {
    return stopping_ || jobs_.size() >= enough || (accept_wakes_ && accepts_ > 0);
  }
  void commit_group(std::vector<Job>& group);
  Result<void> try_commit(std::span<Job> jobs);
  Result<void> write(std::span<Job> jobs, WriteEffects& effects);
  Error judge_commit_error(const Error& error);
  void settle(WriteEffects& effects);
  void undo(const WriteEffects& effects);
  void watch_log();
  void housekeeping();
  bool keep_house_once(const std::function<Result<void>()>& work);

  Parts parts_;
  HistoryLimits history_;
  std::function<void()> want_checkpoint_;
  SqliteDb db_;
  SqliteWriter writer_{db_, parts_.leases};
  Histogram& duration_;
  Histogram& batch_size_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  StoreCounters counters_;
  std::size_t wake_at_ = 1;    // so many jobs are worth waking the thread
  bool accept_wakes_ = false;  // and so is one that a client waits for
  std::size_t accepts_ = 0;    // of jobs_
  bool stopping_ = false;
  std::atomic<bool> failed_ = false;
  int log_pages_ = 0;  // of the write-ahead log; set by SQLite's hook on the thread
  bool trimming_ = false;
  SteadyTime next_trim_{};
  std::thread thread_;
};

}  // namespace holdfast
