#include "queue/sqlite_committer.h"

#include <sqlite3.h>

#include <algorithm>
#include <cerrno>
#include <limits>

namespace holdfast {
namespace {

// How long a commit waits for others to join it, and how many are enough to stop waiting.
constexpr auto kGatherTime = std::chrono::milliseconds(3);
constexpr std::size_t kGatherBatches = 32;
// A group is bounded so that its first member does not wait long for its last.
constexpr std::size_t kGroupBatches = 256;
constexpr std::size_t kGroupOctets = std::size_t{8} << 20;
// The write-ahead log: from the first size on the checkpointer is asked. The larger, the more often a page
// was rewritten in the log for each time it goes to the database; reading so much back at a start takes a
// tenth of a second. Beyond the second size the checkpointer never catches up: the committer itself does one
// while nobody writes.
constexpr int kCheckpointPages = (48 << 20) / kPageSize;
constexpr int kCheckpointHerePages = (96 << 20) / kPageSize;
constexpr auto kTick = std::chrono::milliseconds(1000);
constexpr auto kTrimPause = std::chrono::milliseconds(20);  // between steps of trimming: mail goes first
constexpr auto kTrimEvery = std::chrono::minutes(1);
constexpr std::size_t kTrimMessages = 500;  // per transaction: a few milliseconds
// Longer than the eight days for which an origin may repeat itself.
constexpr auto kKeepKeys = std::chrono::hours(24 * 9);

std::size_t octets_of(const Batch& batch) {
  std::size_t size = 0;
  for (const auto& accept : batch.accept) {
    size += accept.prefix.size() + accept.suffix.size() + 200 * accept.recipients.size();
    const auto* body = static_cast<const FileStagedBody*>(accept.body.get());
    if (body != nullptr && body->file().empty()) size += body->size();
  }
  for (const auto& entry : batch.history) size += entry.detail.size();
  return size;
}

}  // namespace

SqliteCommitter::SqliteCommitter(Parts parts, HistoryLimits history)
    : parts_(parts),
      history_(history),
      duration_(parts.metrics.histogram("store_commit_duration_seconds")),
      batch_size_(parts.metrics.histogram("store_batch_messages")) {}

SqliteCommitter::~SqliteCommitter() { close(); }

Result<void> SqliteCommitter::start(SqliteDb db, std::function<void()> want_checkpoint) {
  db_ = std::move(db);
  want_checkpoint_ = std::move(want_checkpoint);
  if (auto opened = writer_.open(); !opened) return opened;
  auto hook = [](void* self, sqlite3*, const char*, int pages) {
    static_cast<SqliteCommitter*>(self)->log_pages_ = pages;
    return SQLITE_OK;
  };
  sqlite3_wal_hook(db_.handle(), hook, this);
  counters_ = writer_.counters();
  thread_ = std::thread([this] { run(); });
  return {};
}

void SqliteCommitter::submit(Batch batch, Done done) {
  Job job;
  job.size = octets_of(batch);
  job.batch = std::move(batch);
  job.done = std::move(done);
  bool wake = false, closed = false;
  {
    const std::lock_guard lock(mutex_);
    closed = stopping_;
    if (!closed) {
      if (!job.batch.accept.empty()) ++accepts_;
      jobs_.push_back(std::move(job));
      wake = is_group(wake_at_);
    }
  }
  if (closed) job.done(Error(StoreError::closed));
  if (wake) wake_.notify_one();  // not under the lock, for which the woken thread would wait at once
}

void SqliteCommitter::set_aside(std::vector<RecipientId> recipients) {
  const std::lock_guard lock(mutex_);
  if (stopping_) return;
  Job job;
  job.set_aside = std::move(recipients);
  job.done = [](const Result<ApplyResult>&) {};  // what could not be set aside now is found damaged again
  jobs_.push_back(std::move(job));
  if (jobs_.size() >= wake_at_) wake_.notify_one();
}

void SqliteCommitter::fail_for_good(const std::string& why) {
  if (failed_.exchange(true)) return;
  parts_.log.error("the queue failed for good, nothing more is acknowledged: " + why);
}

StoreCounters SqliteCommitter::counters() const {
  const std::lock_guard lock(mutex_);
  return counters_;
}

void SqliteCommitter::close() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

std::vector<SqliteCommitter::Job> SqliteCommitter::next_group() {
  std::vector<Job> group;
  std::size_t octets = 0;
  while (!jobs_.empty() && group.size() < kGroupBatches) {
    octets += jobs_.front().size;
    if (!group.empty() && octets > kGroupOctets) break;
    if (!jobs_.front().batch.accept.empty()) --accepts_;
    group.push_back(std::move(jobs_.front()));
    jobs_.pop_front();
  }
  return group;
}

void SqliteCommitter::run() {
  auto next_tick = std::chrono::steady_clock::now() + kTick;
  std::size_t last_group = 0, clients = 0;  // clients: those that the last group with any of them served
  while (true) {
    std::vector<Job> group;
    bool stop = false;
    {
      std::unique_lock lock(mutex_);
      wake_at_ = 1;
      wake_.wait_until(lock, next_tick, [this] { return stopping_ || !jobs_.empty(); });
      // Where several sessions submit at once, a sync that starts with the first of them would serve few. A
      // lone session never waits; results of deliveries, for which nobody waits, do, and go with its message.
      if (last_group > 1 && !jobs_.empty()) {
        wake_at_ = clients > 1 ? kGatherBatches : std::min(kGatherBatches, last_group + 2);
        accept_wakes_ = clients <= 1;
        wake_.wait_for(lock, kGatherTime, [this] { return is_group(wake_at_); });
        accept_wakes_ = false;
      }
      wake_at_ = std::numeric_limits<std::size_t>::max();  // whoever comes now finds the thread at work
      group = next_group();
      stop = stopping_ && group.empty();
    }
    if (!group.empty()) {
      last_group = group.size();
      const auto served =
          std::count_if(group.begin(), group.end(), [](const Job& job) { return !job.batch.accept.empty(); });
      // One group that happened to serve a single client does not make it a lone one.
      if (served > 0) clients = std::max(static_cast<std::size_t>(served), clients * 3 / 4);
      commit_group(group);
    }
    if (stop || std::chrono::steady_clock::now() >= next_tick) {
      housekeeping();
      next_tick = std::chrono::steady_clock::now() + (trimming_ ? kTrimPause : kTick);
    }
    if (stop) return;
  }
}

void SqliteCommitter::commit_group(std::vector<Job>& group) {
  const SteadyTime begun = parts_.clock.now();
  if (auto done = try_commit(group); !done) {
    for (auto& job : group) {
      job.result.reset();
      if (failed_) {
        job.result.emplace(Error(StoreError::failed_for_good));
      } else if (group.size() == 1) {
        job.result.emplace(done.error());
      } else if (auto alone = try_commit(std::span(&job, 1)); !alone) {
        job.result.emplace(alone.error());
      }
    }
  }
  duration_.observe(std::chrono::duration<double>(parts_.clock.now() - begun).count());
  std::size_t messages = 0;
  for (auto& job : group) {
    messages += job.batch.accept.size();
    job.done(std::move(*job.result));
  }
  batch_size_.observe(static_cast<double>(messages));
  watch_log();
}

Result<void> SqliteCommitter::try_commit(std::span<Job> jobs) {
  if (failed_) return Error(StoreError::failed_for_good);
  WriteEffects effects;
  auto written = write(jobs, effects);
  if (!written) {
    writer_.rollback();
    undo(effects);
    if (writer_.in_transaction()) fail_for_good("a transaction could not be rolled back");
    return store_error(written.error());
  }
  if (auto committed = writer_.commit(); !committed) {
    const Error error = judge_commit_error(committed.error());
    // After a failed sync the rows may stand in the log all the same and be there at the next start, so what
    // they name stays; if they are not, it is an orphan then.
    if (failed_) {
      for (auto* body : effects.kept_files) body->keep_file();
    }
    writer_.rollback();
    undo(effects);
    if (writer_.in_transaction()) fail_for_good("a transaction could not be rolled back");
    return error;
  }
  settle(effects);
  // A sync failed elsewhere meanwhile: it is not known whether this one kept what it said.
  if (failed_) return Error(StoreError::failed_for_good);
  return {};
}

Result<void> SqliteCommitter::write(std::span<Job> jobs, WriteEffects& effects) {
  if (auto begun = writer_.begin(); !begun) return begun;
  const WallTime now = parts_.timeline.now();
  const SteadyTime steady = parts_.clock.now();
  for (auto& job : jobs) {
    job.result.emplace(writer_.apply(job.batch, now, steady, effects));
    if (!*job.result) return job.result->error();
    if (job.set_aside.empty()) continue;
    if (auto done = writer_.set_aside(job.set_aside, effects); !done) return done;
  }
  return {};
}

// A write that found no room is rolled back cleanly. After anything else, above all a failed sync, what the
// disk holds is not known: the kernel may have dropped the very pages and report the next sync as good.
Error SqliteCommitter::judge_commit_error(const Error& error) {
  const int code = sqlite3_extended_errcode(db_.handle());
  const int system = sqlite3_system_errno(db_.handle());
  const bool no_room =
      code == SQLITE_FULL || (code == SQLITE_IOERR_WRITE && (system == ENOSPC || system == EDQUOT));
  if (no_room) return Error(StoreError::full, error.detail);
  fail_for_good(error.text());
  return Error(StoreError::failed_for_good, error.detail);
}

void SqliteCommitter::settle(WriteEffects& effects) {
  for (const RecipientId id : effects.marked) parts_.leases.settle(id);
  for (const auto& [domain, at] : effects.due) parts_.due.touch(domain, at);
  for (auto* body : effects.kept_files) body->keep_file();
  for (auto& [id, content] : effects.fresh) parts_.cache.put(id, std::move(content));
  for (const auto& id : effects.ended) parts_.cache.drop(id);
  if (!effects.unused_files.empty()) {
    parts_.file_threads.post([&files = parts_.files, names = std::move(effects.unused_files)] {
      for (const auto& name : names) files.remove(name);
    });
  }
  const std::lock_guard lock(mutex_);
  counters_ = writer_.counters();
}

void SqliteCommitter::undo(const WriteEffects& effects) {
  for (const RecipientId id : effects.marked) parts_.leases.undo(id);
  for (const RecipientId id : effects.added) parts_.leases.drop(id);
}

void SqliteCommitter::watch_log() {
  if (log_pages_ > kCheckpointHerePages && !failed_) {
    const int code =
        sqlite3_wal_checkpoint_v2(db_.handle(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
    if (code == SQLITE_IOERR_FSYNC) fail_for_good("syncing the database failed in a checkpoint");
    log_pages_ = 0;
  } else if (log_pages_ > kCheckpointPages) {
    want_checkpoint_();
  }
}

bool SqliteCommitter::keep_house_once(const std::function<Result<void>()>& work) {
  if (failed_) return false;
  auto done = writer_.begin();
  if (done) done = work();
  if (done) {
    done = writer_.commit();
    if (done) return true;
    done = judge_commit_error(done.error());
  }
  writer_.rollback();
  parts_.log.warning("housekeeping of the queue: " + done.error().text());
  return false;
}

void SqliteCommitter::housekeeping() {
  const WallTime now = parts_.timeline.now();
  if (const auto buckets = parts_.quota.changed(); !buckets.empty())
    (void)keep_house_once([&] { return writer_.save_quota(buckets, now); });
  const SteadyTime steady = parts_.clock.now();
  if (!trimming_ && steady < next_trim_) return;
  const bool kept = keep_house_once([&]() -> Result<void> {
    const WallTime before = now - std::chrono::floor<std::chrono::microseconds>(history_.keep);
    auto more = writer_.trim_history(before, static_cast<std::int64_t>(history_.size), kTrimMessages);
    if (!more) return more.error();
    trimming_ = *more;
    return trimming_ ? Result<void>() : writer_.forget_keys(now - kKeepKeys);
  });
  if (!kept) trimming_ = false;
  if (!trimming_) next_trim_ = steady + kTrimEvery;
}

}  // namespace holdfast
