#include "queue/sqlite_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <unordered_set>

#include "queue/body_cache.h"
#include "queue/body_files.h"
#include "queue/body_reader.h"
#include "queue/body_staged.h"
#include "queue/sqlite_caretaker.h"
#include "queue/sqlite_committer.h"
#include "queue/sqlite_quota.h"
#include "queue/sqlite_reader.h"
#include "queue/sqlite_schema.h"
#include "queue/sqlite_thread.h"
#include "smtp/base/directory.h"

namespace holdfast {
namespace {

// Fresh bodies kept for their first delivery: a few thousand small messages, or what is in flight of larger
// ones.
constexpr std::size_t kCacheOctets = std::size_t{16} << 20;
constexpr unsigned kFileThreads = 4;  // fsync waits for the disk; several may wait side by side

// Holds the lock of a data directory as long as it lives; the system lets go of it when the process dies.
class DirectoryLock {
 public:
  DirectoryLock() = default;
  ~DirectoryLock() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

  Result<void> take(const std::filesystem::path& path) {
    descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor_ < 0)
      return Error(StoreError::io, "opening " + path.string() + ": " + std::strerror(errno));
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) == 0) return {};
    return Error(StoreError::conflict, path.string() + " is held: does another relay run on this data_dir?");
  }

 private:
  int descriptor_ = -1;
};

class SqliteStoreImpl final : public SqliteStore {
 public:
  SqliteStoreImpl(SqliteStoreOptions options, Clock& clock, Log& log, Metrics& metrics,
                  std::uint64_t first_token)
      : options_(std::move(options)),
        timeline_(clock),
        clock_(clock),
        log_(log),
        leases_(first_token),
        quota_(timeline_),
        caretaker_(options_.data_dir, options_.min_free_space, metrics),
        metrics_(metrics) {}
  ~SqliteStoreImpl() override { stop(); }

  Result<void> start();

  std::unique_ptr<StagedBody> stage_body() override;
  asio::awaitable<Result<ApplyResult>> apply(Batch batch) override;
  asio::awaitable<Result<Due>> due(WallTime now, std::size_t limit) override;
  asio::awaitable<Result<std::vector<Claim>>> claim(std::vector<std::string> domains, std::size_t n,
                                                    WallTime now, std::string owner, Duration lease) override;
  asio::awaitable<Result<bool>> renew(ClaimToken token, Duration lease) override;
  asio::awaitable<Result<std::unique_ptr<StoredBody>>> open_body(QueueId id) override;
  asio::awaitable<Result<std::string>> read_header(QueueId id) override;
  asio::awaitable<Result<std::vector<QueueRow>>> list(QueueFilter filter) override;
  asio::awaitable<Result<std::vector<HistoryEntry>>> history(QueueId id) override;
  asio::awaitable<Result<StoreStats>> stats() override;
  bool low_on_space() const override { return caretaker_.low_on_space(); }
  bool failed() const override { return committer_ && committer_->failed(); }
  asio::awaitable<void> close() override;
  asio::awaitable<Result<bool>> take(std::string key, Rate rate, std::uint64_t n) override;

 private:
  void stop();
  Result<void> make_directory();
  Result<void> recover();
  Result<std::unique_ptr<SqliteReader>> make_reader();
  Result<std::vector<Claim>> claim_now(const std::vector<std::string>& domains, std::size_t n, WallTime now,
                                       Duration lease);
  Result<std::unique_ptr<StoredBody>> open_now(QueueId id);
  Result<std::string> header_now(QueueId id);
  void set_aside(QueueId id, const std::string& why);
  // Runs `question` on a reading thread.
  template <class T>
  asio::awaitable<Result<T>> ask(JobThreads& thread, std::function<Result<T>()> question) {
    if (closed_) co_return Error(StoreError::closed);
    co_return co_await thread.call<Result<T>>(std::move(question));
  }

  SqliteStoreOptions options_;
  Timeline timeline_;
  Clock& clock_;
  Log& log_;
  DirectoryLock lock_;
  LeaseTable leases_;
  DueIndex due_;
  BodyCache cache_{kCacheOctets};
  SqliteQuota quota_;
  SqliteCaretaker caretaker_;
  Metrics& metrics_;
  std::unique_ptr<BodyFiles> files_;
  std::unique_ptr<SqliteReader> reader_, operator_reader_;
  std::atomic<bool> closed_ = false;
  // The threads come last: they end first.
  std::unique_ptr<JobThreads> file_threads_ = std::make_unique<JobThreads>(kFileThreads);
  std::shared_ptr<BodyStage> stage_;
  std::unique_ptr<SqliteCommitter> committer_;
  std::unique_ptr<JobThreads> reads_ = std::make_unique<JobThreads>(1);
  std::unique_ptr<JobThreads> operator_reads_ = std::make_unique<JobThreads>(1);
};

Result<void> SqliteStoreImpl::make_directory() {
  const auto made = make_directories(options_.data_dir);
  if (!made) return Error(StoreError::io, made.error().detail);
  if (!*made) return {};
  std::error_code code;
  std::filesystem::permissions(options_.data_dir, std::filesystem::perms::owner_all, code);
  if (code) return Error(StoreError::io, options_.data_dir.string() + ": " + code.message());
  return {};
}

Result<std::unique_ptr<SqliteReader>> SqliteStoreImpl::make_reader() {
  auto db = open_queue_reader(options_.data_dir / "queue.db", options_.vfs);
  if (!db) return db.error();
  auto reader = std::make_unique<SqliteReader>(std::move(*db), leases_, due_);
  if (auto opened = reader->open(); !opened) return opened.error();
  return reader;
}

Result<void> SqliteStoreImpl::start() {
  if (auto made = make_directory(); !made) return made;
  if (auto taken = lock_.take(options_.data_dir / "queue.lock"); !taken) return taken;
  auto db = open_queue_database(options_.data_dir / "queue.db", options_.vfs);
  if (!db) return db.error();
  auto files =
      BodyFiles::open(options_.data_dir / "bodies");  // syncs data_dir, so the database's name is there too
  if (!files) return files.error();
  files_ = std::move(*files);
  auto fail_for_good = [this](const std::string& why) { committer_->fail_for_good(why); };
  stage_ = std::make_shared<BodyStage>(*files_, *file_threads_, options_.inline_limit, fail_for_good);
  for (auto* into : {&reader_, &operator_reader_}) {
    auto reader = make_reader();
    if (!reader) return reader.error();
    *into = std::move(*reader);
  }
  if (auto recovered = recover(); !recovered) return recovered;

  auto checkpoints = open_queue_database(options_.data_dir / "queue.db", options_.vfs);
  if (!checkpoints) return checkpoints.error();
  SqliteCommitter::Parts parts{leases_, due_,   cache_,    *files_, *file_threads_,
                               quota_,  clock_, timeline_, log_,    metrics_};
  committer_ =
      std::make_unique<SqliteCommitter>(parts, HistoryLimits{options_.history, options_.history_size});
  auto started = committer_->start(std::move(*db), [this] { caretaker_.want_checkpoint(); });
  if (!started) return started;
  caretaker_.start(std::move(*checkpoints), fail_for_good);
  return {};
}

Result<void> SqliteStoreImpl::recover() {
  if (auto loaded = reader_->load_due(); !loaded) return loaded;
  auto buckets = reader_->load_quota();
  if (!buckets) return buckets.error();
  quota_.load(std::move(*buckets));
  auto names = reader_->files();
  if (!names) return names.error();
  const std::unordered_set<std::string> known(names->begin(), names->end());
  const std::size_t orphans =
      files_->remove_orphans([&](const std::string& name) { return known.contains(name); });
  if (orphans > 0) {
    Fields fields;
    fields.add("files", static_cast<std::uint64_t>(orphans));
    log_.info("removed body files that no message names", fields);
  }
  return {};
}

void SqliteStoreImpl::stop() {
  closed_ = true;
  caretaker_.stop();
  if (committer_) committer_->close();
}

std::unique_ptr<StagedBody> SqliteStoreImpl::stage_body() { return std::make_unique<FileStagedBody>(stage_); }

asio::awaitable<Result<ApplyResult>> SqliteStoreImpl::apply(Batch batch) {
  if (closed_) co_return Error(StoreError::closed);
  if (committer_->failed()) co_return Error(StoreError::failed_for_good);
  auto shared = std::make_shared<Batch>(std::move(batch));
  std::function<void(SqliteCommitter::Done)> start = [this, shared](SqliteCommitter::Done done) {
    committer_->submit(std::move(*shared), std::move(done));
  };
  co_return co_await wait_for_value<Result<ApplyResult>>(std::move(start));
}

asio::awaitable<Result<Due>> SqliteStoreImpl::due(WallTime now, std::size_t limit) {
  std::function<Result<Due>()> question = [this, now, limit] {
    return reader_->due(now, clock_.now(), limit);
  };
  return ask<Due>(*reads_, std::move(question));
}

Result<std::vector<Claim>> SqliteStoreImpl::claim_now(const std::vector<std::string>& domains, std::size_t n,
                                                      WallTime now, Duration lease) {
  SqliteReader::Damage damage;
  auto claims = reader_->claim(domains, n, now, clock_.now(), lease, damage);
  std::vector<RecipientId> damaged;
  for (const auto& [recipient, why] : damage) {
    Fields fields;
    fields.add("recipient", recipient).add("reason", why);
    log_.error("a damaged row of the queue is set aside", fields);
    damaged.push_back(recipient);
  }
  if (!damaged.empty()) committer_->set_aside(std::move(damaged));
  return claims;
}

asio::awaitable<Result<std::vector<Claim>>> SqliteStoreImpl::claim(std::vector<std::string> domains,
                                                                   std::size_t n, WallTime now, std::string,
                                                                   Duration lease) {
  std::function<Result<std::vector<Claim>>()> question = [this, domains = std::move(domains), n, now, lease] {
    return claim_now(domains, n, now, lease);
  };
  return ask<std::vector<Claim>>(*reads_, std::move(question));
}

asio::awaitable<Result<bool>> SqliteStoreImpl::renew(ClaimToken token, Duration lease) {
  co_return leases_.renew(token, clock_.now() + lease);
}

void SqliteStoreImpl::set_aside(QueueId id, const std::string& why) {
  Fields fields;
  fields.add("msg", id.text()).add("reason", why);
  log_.error("a damaged message of the queue is set aside", fields);
  operator_reads_->post([this, id] {
    auto recipients = operator_reader_->recipients_of(id);
    if (recipients) committer_->set_aside(std::move(*recipients));
  });
}

Result<std::unique_ptr<StoredBody>> SqliteStoreImpl::open_now(QueueId id) {
  auto found = reader_->content(id);
  if (!found) {
    if (found.error().is(StoreError::damaged)) set_aside(id, found.error().text());
    return found.error();
  }
  if (!found->file) return make_memory_body(std::move(found->content));
  auto file = files_->open_for_reading(found->file->name);
  if (!file) {
    if (!file.error().is(StoreError::not_found)) return file.error();
    const Error damaged(StoreError::damaged, "body file " + found->file->name + " is gone");
    set_aside(id, damaged.text());
    return damaged;
  }
  auto on_damage = [this, id](const std::string& why) { set_aside(id, why); };
  return make_file_body(found->content->prefix, std::move(*file), std::move(*found->file),
                        found->content->suffix, *file_threads_, on_damage);
}

asio::awaitable<Result<std::unique_ptr<StoredBody>>> SqliteStoreImpl::open_body(QueueId id) {
  if (auto fresh = cache_.get(id)) co_return make_memory_body(std::move(fresh));
  std::function<Result<std::unique_ptr<StoredBody>>()> question = [this, id] { return open_now(id); };
  co_return co_await ask<std::unique_ptr<StoredBody>>(*reads_, std::move(question));
}

Result<std::string> SqliteStoreImpl::header_now(QueueId id) {
  std::shared_ptr<const MessageContent> content = cache_.get(id);
  std::string header;
  if (content) {
    header = content->prefix + content->body->substr(0, options_.header_size + 4);
  } else {
    auto found = reader_->content(id);
    if (!found) return found.error();
    header = found->content->prefix + found->content->body->substr(0, options_.header_size + 4);
    if (found->file) {
      auto file = files_->open_for_reading(found->file->name);
      if (!file) return file.error();
      auto octets = (*file)->read(options_.header_size + 4);
      if (!octets) return octets.error();
      header += *octets;
    }
  }
  // The empty line, which may be the body's first.
  const auto end = header.find("\r\n\r\n");
  if (end != std::string::npos) header.resize(end + 2);
  return header;
}

asio::awaitable<Result<std::string>> SqliteStoreImpl::read_header(QueueId id) {
  std::function<Result<std::string>()> question = [this, id] { return header_now(id); };
  return ask<std::string>(*reads_, std::move(question));
}

asio::awaitable<Result<std::vector<QueueRow>>> SqliteStoreImpl::list(QueueFilter filter) {
  std::function<Result<std::vector<QueueRow>>()> question = [this, filter = std::move(filter)] {
    return operator_reader_->list(filter, clock_.now());
  };
  return ask<std::vector<QueueRow>>(*operator_reads_, std::move(question));
}

asio::awaitable<Result<std::vector<HistoryEntry>>> SqliteStoreImpl::history(QueueId id) {
  std::function<Result<std::vector<HistoryEntry>>()> question = [this, id] {
    return operator_reader_->history(id);
  };
  return ask<std::vector<HistoryEntry>>(*operator_reads_, std::move(question));
}

asio::awaitable<Result<StoreStats>> SqliteStoreImpl::stats() {
  std::function<Result<StoreStats>()> question = [this]() -> Result<StoreStats> {
    auto oldest = operator_reader_->oldest();
    if (!oldest) return oldest.error();
    const StoreCounters counters = committer_->counters();
    const FileSystemSpace space = space_of(options_.data_dir);
    StoreStats stats;
    stats.messages = static_cast<std::uint64_t>(counters.messages);
    stats.recipients_queued = static_cast<std::uint64_t>(counters.queued);
    stats.recipients_deferred = static_cast<std::uint64_t>(counters.deferred);
    stats.recipients_held = static_cast<std::uint64_t>(counters.held);
    stats.damaged = static_cast<std::uint64_t>(counters.damaged);
    stats.bytes = static_cast<std::uint64_t>(counters.bytes);
    stats.oldest = *oldest;
    stats.free_bytes = space.free;
    stats.total_bytes = space.total;
    return stats;
  };
  return ask<StoreStats>(*operator_reads_, std::move(question));
}

asio::awaitable<Result<bool>> SqliteStoreImpl::take(std::string key, Rate rate, std::uint64_t n) {
  return quota_.take(std::move(key), rate, n);
}

asio::awaitable<void> SqliteStoreImpl::close() {
  closed_ = true;
  std::function<bool()> job = [this] {
    stop();
    return true;
  };
  co_await file_threads_->call<bool>(std::move(job));
}

}  // namespace

SqliteStoreOptions SqliteStoreOptions::from(const Settings& settings) {
  SqliteStoreOptions options;
  options.data_dir = settings.data_dir;
  options.inline_limit = settings.queue.inline_limit;
  options.min_free_space = settings.queue.min_free_space;
  options.history = settings.queue.history;
  options.history_size = settings.queue.history_size;
  options.header_size = settings.limits.header_size;
  return options;
}

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(SqliteStoreOptions options, Clock& clock, Log& log,
                                                       Metrics& metrics) {
  // Tokens of an earlier run must not fit this one's leases.
  const std::uint64_t first_token =
      options.first_token != 0 ? options.first_token : make_system_random()->next() >> 1;
  auto store = std::make_unique<SqliteStoreImpl>(std::move(options), clock, log, metrics, first_token);
  if (auto started = store->start(); !started) return started.error();
  return std::unique_ptr<SqliteStore>(std::move(store));
}

}  // namespace holdfast
