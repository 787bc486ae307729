#include "queue/sqlite_writer.h"

#include <sqlite3.h>

namespace holdfast {

Result<void> SqliteWriter::open() {
  const std::pair<SqliteStatement*, const char*> all[] = {
      {&sql_.begin, "BEGIN IMMEDIATE"},
      {&sql_.commit, "COMMIT"},
      {&sql_.rollback, "ROLLBACK"},
      {&sql_.save_counters,
       "UPDATE counter SET last_recipient=?1, messages=?2, bytes=?3, queued=?4, deferred=?5, held=?6, "
       "damaged=?7, "
       "record_bytes=?8 WHERE id=1"},
      {&sql_.find_key, "SELECT message FROM idempotency WHERE key=?1"},
      {&sql_.add_key, "INSERT INTO idempotency(key, message, ended) VALUES(?1, ?2, NULL)"},
      {&sql_.end_key, "UPDATE idempotency SET ended=?2 WHERE key=?1"},
      {&sql_.forget_keys, "DELETE FROM idempotency WHERE ended IS NOT NULL AND ended < ?1"},
      {&sql_.find_body,
       "SELECT c.body, c.length FROM message m JOIN content c ON c.first=m.first WHERE m.id=?1 AND c.live=1"},
      {&sql_.add_content,
       "INSERT INTO content(first, message, body, live, bytes, length, sum, frame_sum, file, prefix, suffix, "
       "data) "
       "VALUES(?1, ?2, ?3, 1, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"},
      {&sql_.load_meta, "SELECT meta FROM message WHERE id=?1"},
      {&sql_.add_message, "INSERT INTO message(id, first, total, meta) VALUES(?1, ?2, ?3, ?4)"},
      {&sql_.add_recipient,
       "INSERT INTO recipient(id, message, first, total, domain, address, state, next_attempt, attempts, "
       "flags, "
       "reason, mx, ended) VALUES(?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, 0, ?8, '', '', NULL)"},
      {&sql_.load_recipient,
       "SELECT message, first, total, state, attempts, flags, domain FROM recipient WHERE id=?1"},
      {&sql_.end_recipient, "UPDATE recipient SET state=?2, reason=?3, mx=?4, ended=?5 WHERE id=?1"},
      {&sql_.defer_recipient,
       "UPDATE recipient SET next_attempt=?2, attempts=?3, flags=?4, reason=coalesce(?5, reason) WHERE "
       "id=?1"},
      {&sql_.set_state, "UPDATE recipient SET state=?2, next_attempt=coalesce(?3, next_attempt) WHERE id=?1"},
      {&sql_.find_live, "SELECT 1 FROM recipient WHERE id BETWEEN ?1 AND ?2 AND state IN (0, 1, 6) LIMIT 1"},
      {&sql_.load_content, "SELECT body, bytes, file FROM content WHERE first=?1"},
      {&sql_.remove_content, "DELETE FROM content WHERE first=?1"},
      {&sql_.retire_content, "UPDATE content SET live=0, prefix=x'', suffix=x'' WHERE first=?1"},
      {&sql_.find_holders, "SELECT holders FROM shared_body WHERE body=?1"},
      {&sql_.set_holders, "INSERT OR REPLACE INTO shared_body(body, holders) VALUES(?1, ?2)"},
      {&sql_.remove_holders, "DELETE FROM shared_body WHERE body=?1"},
      {&sql_.last_history, "SELECT max(number) FROM history WHERE message=?1"},
      {&sql_.add_history,
       "INSERT INTO history(message, number, at, event, detail) VALUES(?1, ?2, ?3, ?4, ?5)"},
      {&sql_.oldest_messages, "SELECT id, first, total FROM message WHERE id > ?1 ORDER BY id LIMIT ?2"},
      {&sql_.last_ended,
       "SELECT max(coalesce(ended, 9223372036854775807)) FROM recipient WHERE id BETWEEN ?1 AND ?2"},
      {&sql_.record_size,
       "SELECT (SELECT length(meta) FROM message WHERE id=?1), "
       "(SELECT total(length(address)) FROM recipient WHERE id BETWEEN ?2 AND ?3)"},
      {&sql_.history_size,
       "SELECT count(*), total(length(event) + length(detail)) FROM history WHERE message=?1"},
      {&sql_.remove_message, "DELETE FROM message WHERE id=?1"},
      {&sql_.remove_recipients, "DELETE FROM recipient WHERE id BETWEEN ?1 AND ?2"},
      {&sql_.remove_history, "DELETE FROM history WHERE message=?1"},
      {&sql_.remove_bucket, "DELETE FROM quota WHERE key=?1"},
      {&sql_.save_bucket,
       "INSERT OR REPLACE INTO quota(key, tokens, at, count, per) VALUES(?1, ?2, ?3, ?4, ?5)"},
  };
  for (const auto& [statement, text] : all) {
    auto prepared = db_.prepare(text);
    if (!prepared) return store_error(prepared.error());
    *statement = std::move(*prepared);
  }
  auto query = db_.prepare(
      "SELECT last_recipient, messages, bytes, queued, deferred, held, damaged, record_bytes FROM counter");
  if (!query) return store_error(query.error());
  auto row = query->step();
  if (!row) return store_error(row.error());
  if (!*row) return Error(StoreError::damaged, "queue.db has no counters");
  counters_ = {query->integer(0), query->integer(1), query->integer(2), query->integer(3),
               query->integer(4), query->integer(5), query->integer(6), query->integer(7)};
  committed_ = counters_;
  return {};
}

Result<void> SqliteWriter::begin() {
  counters_ = committed_;
  return sql_.begin.run();
}

Result<void> SqliteWriter::commit() {
  const StoreCounters& c = counters_;
  auto saved = sql_.save_counters.bind(1, c.last_recipient)
                   .bind(2, c.messages)
                   .bind(3, c.bytes)
                   .bind(4, c.queued)
                   .bind(5, c.deferred)
                   .bind(6, c.held)
                   .bind(7, c.damaged)
                   .bind(8, c.record_bytes)
                   .run();
  if (!saved) return saved;
  auto done = sql_.commit.run();
  if (done) committed_ = counters_;
  return done;
}

void SqliteWriter::rollback() {
  // After some errors SQLite has rolled back by itself; then this one fails, and that is as well.
  (void)sql_.rollback.run();
  counters_ = committed_;
  touched_.clear();
}

bool SqliteWriter::in_transaction() const { return sqlite3_get_autocommit(db_.handle()) == 0; }

Result<ApplyResult> SqliteWriter::apply(Batch& batch, WallTime now, SteadyTime steady,
                                        WriteEffects& effects) {
  ApplyResult result;
  touched_.clear();
  if (batch.refuse_if_stale) {
    auto current = take_all(batch, effects, result);
    if (!current) return store_error(current.error());
    if (result.refused) return result;
  }
  for (auto& item : batch.accept) {
    auto accepted = accept(item, now, steady, effects);
    if (!accepted) return store_error(accepted.error());
    result.accepted.push_back(std::move(*accepted));
  }
  for (auto& item : batch.complete)
    if (auto done = complete(item, batch.refuse_if_stale, now, effects, result); !done)
      return store_error(done.error());
  for (auto& item : batch.defer)
    if (auto done = defer(item, batch.refuse_if_stale, effects, result); !done)
      return store_error(done.error());
  for (const auto& item : batch.changes)
    for (const RecipientId id : item.recipients)
      if (auto done = change(id, item, now, steady, effects); !done) return store_error(done.error());
  for (const auto& item : batch.history)
    if (auto done = add_history(item); !done) return store_error(done.error());
  if (auto done = end_messages(now, effects); !done) return store_error(done.error());
  return result;
}

}  // namespace holdfast
