// queue/sqlite_writer.h — carries batches out on the one writing connection. Used by the committer thread
// only.
//
// In four files: the transaction and its statements (sqlite_writer.cc), messages that come in (…_accept.cc),
// recipients and messages that end (…_end.cc), history and what is trimmed of it (…_history.cc).
//
// Procedure: begin(), apply() for each batch of a group, commit(); then settle() or undo() what the group
// changed outside of the database. An error of apply() leaves the transaction in doubt: roll back and apply
// the batches again, each alone.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "queue/body_cache.h"
#include "queue/body_files.h"
#include "queue/body_staged.h"
#include "queue/sqlite_schema.h"
#include "queue/store.h"
#include "queue/store_due.h"
#include "queue/store_leases.h"
#include "queue/store_quota.h"

namespace holdfast {

struct StoreCounters {
  std::int64_t last_recipient = 0, messages = 0, bytes = 0, queued = 0, deferred = 0, held = 0, damaged = 0;
  std::int64_t record_bytes = 0;  // of messages, recipients and history, for queue.history_size; about
};

// What a write changes outside of the database once it is durable.
struct WriteEffects {
  std::vector<RecipientId> marked;  // in the lease table
  std::vector<RecipientId> added;   // likewise, fresh and claimed
  std::vector<std::pair<std::string, WallTime>> due;
  std::vector<QueueId> ended;
  std::vector<std::string> unused_files;
  std::vector<FileStagedBody*> kept_files;
  std::vector<std::pair<QueueId, std::shared_ptr<const MessageContent>>> fresh;
};

class SqliteWriter {
 public:
  // All must outlive the writer.
  SqliteWriter(SqliteDb& db, LeaseTable& leases) : db_(db), leases_(leases) {}
  // Prepares the statements and reads the counters.
  Result<void> open();

  Result<void> begin();
  // The batch stays whole (it may have to be applied again) until its commit. `now`: of the timeline.
  Result<ApplyResult> apply(Batch& batch, WallTime now, SteadyTime steady, WriteEffects& effects);
  Result<void> set_aside(const std::vector<RecipientId>& recipients, WriteEffects& effects);
  Result<void> save_quota(const std::map<std::string, StoredBucket>& buckets, WallTime now);
  // Removes up to `most` ended messages from the history, the oldest first: those that ended before `before`,
  // and more while the records exceed `record_bytes`. True when there may be more to remove.
  Result<bool> trim_history(WallTime before, std::int64_t record_bytes, std::size_t most);
  Result<void> forget_keys(WallTime ended_before);
  Result<void> commit();
  void rollback();
  bool in_transaction() const;

  const StoreCounters& counters() const { return committed_; }

 private:
  // Octets that a row costs beside its texts, about; for queue.history_size.
  static constexpr std::int64_t kMessageCost = 60, kRecipientCost = 120, kHistoryCost = 40;
  static std::int64_t length_of(std::string_view text) { return static_cast<std::int64_t>(text.size()); }

  struct RecipientRow {
    std::string message, domain;
    std::int64_t first = 0, total = 0, attempts = 0, flags = 0;
    RecipientState state = RecipientState::queued;
  };
  struct EndedIn {
    std::string message;
    std::int64_t first = 0, total = 0;
    bool keyed = false;
    auto operator<=>(const EndedIn&) const = default;
  };
  Result<Accepted> accept(Accept& accept, WallTime now, SteadyTime steady, WriteEffects& effects);
  Result<void> insert_content(Accept& accept, std::int64_t first, MessageMeta& meta, WriteEffects& effects);
  Result<void> share_body(std::int64_t body);
  Result<void> take_all(const Batch& batch, WriteEffects& effects, ApplyResult& result);
  // `taken`: by take_all().
  Result<void> complete(Complete& complete, bool taken, WallTime now, WriteEffects& effects,
                        ApplyResult& result);
  Result<void> defer(Defer& defer, bool taken, WriteEffects& effects, ApplyResult& result);
  Result<void> change(RecipientId id, const OperatorChange& change, WallTime now, SteadyTime steady,
                      WriteEffects& effects);
  Result<std::optional<RecipientRow>> load(RecipientId id);
  Result<void> make_due(RecipientId id, const RecipientRow& row, WallTime now, WriteEffects& effects);
  Result<void> end(RecipientId id, const RecipientRow& row, RecipientState state, std::string_view reason,
                   std::string_view mx, WallTime now);
  Result<void> set_state(RecipientId id, const RecipientRow& row, RecipientState state,
                         std::optional<WallTime> next);
  Result<void> end_messages(WallTime now, WriteEffects& effects);
  Result<void> end_message(const EndedIn& message, WallTime now, WriteEffects& effects);
  Result<bool> release_body(std::int64_t body, WriteEffects& effects);
  Result<void> remove_content(std::int64_t first, WriteEffects& effects);
  Result<void> add_history(const HistoryEntry& entry);
  Result<void> remove_record(std::string_view message, std::int64_t first, std::int64_t total);
  void count(RecipientState state, std::int64_t attempts, std::int64_t by);

  SqliteDb& db_;
  LeaseTable& leases_;
  StoreCounters counters_, committed_;
  std::set<EndedIn> touched_;  // messages of which a recipient ended in this batch
  std::string trim_cursor_;

  struct Statements {
    SqliteStatement begin, commit, rollback, save_counters;
    SqliteStatement find_key, add_key, end_key, forget_keys;
    SqliteStatement find_body, add_content, add_message, add_recipient;
    SqliteStatement load_recipient, end_recipient, defer_recipient, set_state, find_live;
    SqliteStatement load_content, remove_content, retire_content;
    SqliteStatement find_holders, set_holders, remove_holders;
    SqliteStatement last_history, add_history;
    SqliteStatement load_meta, oldest_messages, last_ended, record_size, history_size;
    SqliteStatement remove_message, remove_recipients, remove_history;
    SqliteStatement save_bucket, remove_bucket;
  } sql_;
};

}  // namespace holdfast
