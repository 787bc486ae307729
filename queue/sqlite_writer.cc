#include "queue/sqlite_writer.h"

#include <sqlite3.h>

#include <algorithm>
#include <limits>

#include "queue/store_record.h"

namespace holdfast {
namespace {

// Octets that a row costs beside its texts, about; for queue.history_size.
constexpr std::int64_t kMessageCost = 60, kRecipientCost = 120, kHistoryCost = 40;

std::int64_t length_of(std::string_view text) { return static_cast<std::int64_t>(text.size()); }
std::int64_t number(RecipientState state) { return static_cast<std::int64_t>(state); }

// The first 48 bits of a queue id are milliseconds.
WallTime accepted_time(std::string_view id) {
  std::int64_t millis = 0;
  for (const char octet : id.substr(0, 6)) millis = (millis << 8) | static_cast<std::uint8_t>(octet);
  return WallTime(std::chrono::milliseconds(millis));
}

}  // namespace

struct SqliteWriter::RecipientRow {
  std::string message, domain;
  std::int64_t first = 0, total = 0, attempts = 0, flags = 0;
  RecipientState state = RecipientState::queued;
};

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

Result<Accepted> SqliteWriter::accept(Accept& accept, WallTime, SteadyTime steady, WriteEffects& effects) {
  const std::string& key = accept.meta.idempotency_key;
  if (!key.empty()) {
    auto known = sql_.find_key.bind(1, key).step();
    if (!known) return known.error();
    if (*known) {
      const auto id = id_from_octets(sql_.find_key.blob(0));
      sql_.find_key.reset();
      if (!id) return Error(StoreError::damaged, "the row of idempotency key " + key);
      return Accepted{*id, true, {}};
    }
  }
  if (accept.recipients.empty()) return Error(StoreError::rejected, "a message without recipients");
  const std::int64_t first = counters_.last_recipient + 1;
  const auto total = static_cast<std::int64_t>(accept.recipients.size());
  auto meta = std::make_shared<MessageMeta>(accept.meta);
  if (auto done = insert_content(accept, first, *meta, effects); !done) return done.error();

  const std::string record = encode_meta(*meta);
  const std::string_view id = as_octets(meta->id);
  auto added = sql_.add_message.bind_blob(1, id).bind(2, first).bind(3, total).bind_blob(4, record).run();
  if (!added) return added.error();
  if (!key.empty()) {
    if (auto done = sql_.add_key.bind(1, key).bind_blob(2, id).run(); !done) return done.error();
  }

  Accepted accepted{meta->id, false, {}};
  const bool claim = accept.claim && meta->release <= meta->accepted;
  std::map<std::string_view, std::size_t> claims;  // index by domain
  std::int64_t row = first;
  std::int64_t cost = kMessageCost + length_of(record);
  for (const auto& recipient : accept.recipients) {
    const std::string& domain = recipient.address.domain();
    const std::string address = encode_recipient(recipient);
    auto inserted = sql_.add_recipient.bind(1, row)
                        .bind_blob(2, id)
                        .bind(3, first)
                        .bind(4, total)
                        .bind(5, domain)
                        .bind_blob(6, address)
                        .bind(7, micros(meta->release))
                        .bind(8, key.empty() ? 0 : kFlagKeyed)
                        .run();
    if (!inserted) return inserted.error();
    const auto recipient_id = static_cast<RecipientId>(row);
    if (claim) {
      const auto [at, fresh] = claims.try_emplace(domain, accepted.claims.size());
      if (fresh) accepted.claims.push_back(Claim{leases_.new_token(), meta, domain, {}});
      Claim& into = accepted.claims[at->second];
      into.recipients.push_back({recipient_id, recipient.address, recipient.dsn, 0, false});
      leases_.add(recipient_id, into.token, domain, steady + kFirstLease);
      effects.added.push_back(recipient_id);
    } else {
      effects.due.emplace_back(domain, meta->release);
    }
    cost += kRecipientCost + length_of(address);
    ++row;
  }
  counters_.last_recipient += total;
  counters_.messages += 1;
  counters_.queued += total;
  counters_.record_bytes += cost;
  return accepted;
}

Result<void> SqliteWriter::insert_content(Accept& accept, std::int64_t first, MessageMeta& meta,
                                          WriteEffects& effects) {
  std::int64_t body = first;
  std::uint64_t length = 0;
  std::uint32_t sum = 0;
  auto* staged = static_cast<FileStagedBody*>(accept.body.get());
  std::shared_ptr<const std::string> octets;
  if (accept.body_of) {
    auto found = sql_.find_body.bind_blob(1, as_octets(*accept.body_of)).step();
    if (!found) return found.error();
    if (!*found) return Error(StoreError::not_found, "body of " + accept.body_of->text());
    body = sql_.find_body.integer(0);
    length = static_cast<std::uint64_t>(sql_.find_body.integer(1));
    sql_.find_body.reset();
    if (auto shared = share_body(body); !shared) return shared;
  } else if (staged != nullptr) {
    length = staged->size();
    sum = staged->sum();
    if (staged->file().empty()) octets = staged->memory();
  }
  meta.prefix_size = accept.prefix.size();
  meta.body_size = length;
  const auto bytes = static_cast<std::int64_t>(meta.prefix_size + meta.body_size);
  auto& add = sql_.add_content;
  add.bind(1, first).bind_blob(2, as_octets(meta.id)).bind(3, body).bind(4, bytes);
  add.bind(5, static_cast<std::int64_t>(length)).bind(6, std::int64_t{sum});
  add.bind(7, std::int64_t{checksum(accept.suffix, checksum(accept.prefix))});
  add.bind_blob(9, accept.prefix).bind_blob(10, accept.suffix);
  if (staged != nullptr && !staged->file().empty()) {
    add.bind(8, staged->file()).bind_null(11);
    effects.kept_files.push_back(staged);
  } else if (octets) {
    add.bind_null(8).bind_blob(11, *octets);
  } else {
    add.bind_null(8).bind_null(11);
  }
  counters_.bytes += bytes;
  if (octets && accept.claim)
    effects.fresh.emplace_back(meta.id, std::make_shared<const MessageContent>(
                                            MessageContent{accept.prefix, octets, accept.suffix}));
  return add.run();
}

Result<void> SqliteWriter::share_body(std::int64_t body) {
  auto found = sql_.find_holders.bind(1, body).step();
  if (!found) return found.error();
  const std::int64_t holders = *found ? sql_.find_holders.integer(0) : 1;
  sql_.find_holders.reset();
  return sql_.set_holders.bind(1, body).bind(2, holders + 1).run();
}

Result<std::optional<SqliteWriter::RecipientRow>> SqliteWriter::load(RecipientId id) {
  auto& load = sql_.load_recipient;
  auto found = load.bind(1, static_cast<std::int64_t>(id)).step();
  if (!found) return found.error();
  if (!*found) return std::optional<RecipientRow>();
  RecipientRow row;
  row.message = load.blob(0);
  row.first = load.integer(1);
  row.total = load.integer(2);
  row.state = static_cast<RecipientState>(load.integer(3));
  row.attempts = load.integer(4);
  row.flags = load.integer(5);
  row.domain = load.text(6);
  load.reset();
  return std::optional(std::move(row));
}

// Takes all that the batch completes or defers out of their claims, before anything is written; nothing of it
// when one of them is stale.
Result<void> SqliteWriter::take_all(const Batch& batch, WriteEffects& effects, ApplyResult& result) {
  std::vector<RecipientId> taken;
  auto take = [&](RecipientId id, ClaimToken token) -> Result<void> {
    if (!leases_.leave(id, token)) {
      result.stale.push_back(id);
      return {};
    }
    taken.push_back(id);
    auto row = load(id);
    if (!row) return row.error();
    if (!*row || (*row)->state != RecipientState::queued) result.stale.push_back(id);
    return {};
  };
  Result<void> done;
  for (const auto& item : batch.complete)
    if (done) done = take(item.recipient, item.token);
  for (const auto& item : batch.defer)
    if (done) done = take(item.recipient, item.token);
  result.refused = !result.stale.empty();
  if (done && !result.refused) {
    effects.marked.insert(effects.marked.end(), taken.begin(), taken.end());
  } else {
    for (const RecipientId id : taken) leases_.undo(id);
  }
  return done;
}

Result<void> SqliteWriter::complete(Complete& complete, bool taken, WallTime now, WriteEffects& effects,
                                    ApplyResult& result) {
  if (!taken) {
    if (!leases_.leave(complete.recipient, complete.token)) {
      result.stale.push_back(complete.recipient);
      return {};
    }
    effects.marked.push_back(complete.recipient);
  }
  auto row = load(complete.recipient);
  if (!row) return row.error();
  if (!*row || (*row)->state != RecipientState::queued) {
    result.stale.push_back(complete.recipient);
    return {};
  }
  if (!has_ended(complete.state)) return set_state(complete.recipient, **row, complete.state, std::nullopt);
  return end(complete.recipient, **row, complete.state, complete.reply, complete.mx, now);
}

Result<void> SqliteWriter::defer(Defer& defer, bool taken, WriteEffects& effects, ApplyResult& result) {
  if (!taken) {
    if (!leases_.leave(defer.recipient, defer.token)) {
      result.stale.push_back(defer.recipient);
      return {};
    }
    effects.marked.push_back(defer.recipient);
  }
  auto found = load(defer.recipient);
  if (!found) return found.error();
  if (!*found || (*found)->state != RecipientState::queued) {
    result.stale.push_back(defer.recipient);
    return {};
  }
  const RecipientRow& row = **found;
  const std::int64_t attempts = row.attempts + (defer.count_attempt ? 1 : 0);
  std::int64_t flags = row.flags & ~kFlagPolicy;
  if (defer.policy) flags |= kFlagPolicy;
  if (defer.delay_notice_sent) flags |= kFlagDelayNotice;
  auto& update = sql_.defer_recipient;
  update.bind(1, static_cast<std::int64_t>(defer.recipient)).bind(2, micros(defer.next_attempt));
  update.bind(3, attempts).bind(4, flags);
  if (defer.reason.empty() && !defer.count_attempt) {
    update.bind_null(5);
  } else {
    update.bind(5, defer.reason);
  }
  count(RecipientState::queued, row.attempts, -1);
  count(RecipientState::queued, attempts, 1);
  effects.due.emplace_back(row.domain, defer.next_attempt);
  return update.run();
}

Result<void> SqliteWriter::change(RecipientId id, const OperatorChange& change, WallTime now,
                                  SteadyTime steady, WriteEffects& effects) {
  auto found = load(id);
  if (!found) return found.error();
  if (!*found || has_ended((*found)->state)) {
    if (change.what != OperatorChange::What::bounce) return {};
    return Error(StoreError::rejected, "a recipient to be bounced has ended");
  }
  const RecipientRow& row = **found;
  auto seize = [&] {
    leases_.seize(id);
    effects.marked.push_back(id);
  };
  switch (change.what) {
    case OperatorChange::What::hold:
      if (row.state != RecipientState::queued) return {};
      seize();
      return set_state(id, row, RecipientState::held, std::nullopt);
    case OperatorChange::What::release:
      if (row.state != RecipientState::held) return {};
      effects.due.emplace_back(row.domain, now);
      return set_state(id, row, RecipientState::queued, now);
    case OperatorChange::What::retry:
      if (row.state != RecipientState::queued || leases_.in_hand(id, steady)) return {};
      effects.due.emplace_back(row.domain, now);
      return set_state(id, row, RecipientState::queued, now);
    case OperatorChange::What::remove:
      seize();
      return end(id, row, RecipientState::removed, "removed by the operator", "", now);
    case OperatorChange::What::bounce:
      if (!leases_.seize_waiting(id, steady))
        return Error(StoreError::rejected, "a recipient to be bounced is in hand");
      effects.marked.push_back(id);
      return end(id, row, RecipientState::bounced, change.reason, "", now);
  }
  return {};
}

Result<void> SqliteWriter::set_aside(const std::vector<RecipientId>& recipients, WriteEffects& effects) {
  for (const RecipientId id : recipients) {
    auto row = load(id);
    if (!row) return row.error();
    if (!*row || ((*row)->state != RecipientState::queued && (*row)->state != RecipientState::held)) continue;
    leases_.seize(id);
    effects.marked.push_back(id);
    if (auto done = set_state(id, **row, RecipientState::damaged, std::nullopt); !done) return done;
  }
  return {};
}

void SqliteWriter::count(RecipientState state, std::int64_t attempts, std::int64_t by) {
  if (state == RecipientState::queued) (attempts == 0 ? counters_.queued : counters_.deferred) += by;
  if (state == RecipientState::held) counters_.held += by;
  if (state == RecipientState::damaged) counters_.damaged += by;
}

Result<void> SqliteWriter::set_state(RecipientId id, const RecipientRow& row, RecipientState state,
                                     std::optional<WallTime> next) {
  count(row.state, row.attempts, -1);
  count(state, row.attempts, 1);
  auto& update = sql_.set_state.bind(1, static_cast<std::int64_t>(id)).bind(2, number(state));
  return (next ? update.bind(3, micros(*next)) : update.bind_null(3)).run();
}

Result<void> SqliteWriter::end(RecipientId id, const RecipientRow& row, RecipientState state,
                               std::string_view reason, std::string_view mx, WallTime now) {
  count(row.state, row.attempts, -1);
  touched_.insert(EndedIn{row.message, row.first, row.total, (row.flags & kFlagKeyed) != 0});
  return sql_.end_recipient.bind(1, static_cast<std::int64_t>(id))
      .bind(2, number(state))
      .bind(3, reason)
      .bind(4, mx)
      .bind(5, micros(now))
      .run();
}

Result<void> SqliteWriter::end_messages(WallTime now, WriteEffects& effects) {
  for (const auto& message : std::exchange(touched_, {})) {
    if (message.total > 1) {
      auto live = sql_.find_live.bind(1, message.first).bind(2, message.first + message.total - 1).step();
      sql_.find_live.reset();
      if (!live) return live.error();
      if (*live) continue;
    }
    if (auto done = end_message(message, now, effects); !done) return done;
  }
  return {};
}

Result<void> SqliteWriter::end_message(const EndedIn& message, WallTime now, WriteEffects& effects) {
  auto found = sql_.load_content.bind(1, message.first).step();
  if (!found) return found.error();
  if (!*found) return Error(StoreError::damaged, "no content row " + std::to_string(message.first));
  const std::int64_t body = sql_.load_content.integer(0);
  counters_.bytes -= sql_.load_content.integer(1);
  counters_.messages -= 1;
  sql_.load_content.reset();
  if (const auto id = id_from_octets(message.message)) effects.ended.push_back(*id);
  if (body != message.first) {
    if (auto done = remove_content(message.first, effects); !done) return done;
  }
  if (message.keyed) {
    auto query = db_.prepare("SELECT meta FROM message WHERE id=?1");
    if (!query) return query.error();
    auto row = query->bind_blob(1, message.message).step();
    if (!row) return row.error();
    const auto meta = *row ? decode_meta(query->blob(0)) : Result<MessageMeta>(MessageMeta{});
    query->reset();
    if (meta) {
      auto ended = sql_.end_key.bind(1, meta->idempotency_key).bind(2, micros(now)).run();
      if (!ended) return ended;
    }
  }
  auto removed = release_body(body, effects);
  if (!removed) return removed.error();
  if (*removed || body != message.first) return {};
  return sql_.retire_content.bind(1, message.first).run();  // others still share its body
}

// One holder of the body fewer. The row goes with the last of them; true then.
Result<bool> SqliteWriter::release_body(std::int64_t body, WriteEffects& effects) {
  auto found = sql_.find_holders.bind(1, body).step();
  if (!found) return found.error();
  if (!*found) {
    auto removed = remove_content(body, effects);
    if (!removed) return removed.error();
    return true;
  }
  const std::int64_t left = sql_.find_holders.integer(0) - 1;
  sql_.find_holders.reset();
  auto counted = left == 1 ? sql_.remove_holders.bind(1, body).run()
                           : sql_.set_holders.bind(1, body).bind(2, left).run();
  if (!counted) return counted.error();
  return false;
}

Result<void> SqliteWriter::remove_content(std::int64_t first, WriteEffects& effects) {
  auto found = sql_.load_content.bind(1, first).step();
  if (!found) return found.error();
  if (*found && !sql_.load_content.is_null(2)) effects.unused_files.emplace_back(sql_.load_content.text(2));
  sql_.load_content.reset();
  return sql_.remove_content.bind(1, first).run();
}

Result<void> SqliteWriter::add_history(const HistoryEntry& entry) {
  const std::string_view message = as_octets(entry.message);
  auto last = sql_.last_history.bind_blob(1, message).step();
  if (!last) return last.error();
  const std::int64_t next = sql_.last_history.integer(0) + 1;
  sql_.last_history.reset();
  counters_.record_bytes += kHistoryCost + length_of(entry.event) + length_of(entry.detail);
  return sql_.add_history.bind_blob(1, message)
      .bind(2, next)
      .bind(3, micros(entry.at))
      .bind(4, entry.event)
      .bind(5, entry.detail)
      .run();
}

Result<bool> SqliteWriter::trim_history(WallTime before, std::int64_t record_bytes, std::size_t most) {
  struct Row {
    std::string id;
    std::int64_t first, total;
  };
  std::vector<Row> rows;
  auto& oldest = sql_.oldest_messages;
  oldest.bind_blob(1, trim_cursor_).bind(2, static_cast<std::int64_t>(most));
  while (true) {
    auto row = oldest.step();
    if (!row) return store_error(row.error());
    if (!*row) break;
    rows.push_back({std::string(oldest.blob(0)), oldest.integer(1), oldest.integer(2)});
  }
  bool passed = rows.size() < most;  // the whole table was looked at
  for (const auto& row : rows) {
    const bool too_many = counters_.record_bytes > record_bytes;
    if (!too_many && accepted_time(row.id) >= before) {
      passed = true;  // this one and all that follow were accepted, so ended, later
      break;
    }
    trim_cursor_ = row.id;
    auto last = sql_.last_ended.bind(1, row.first).bind(2, row.first + row.total - 1).step();
    if (!last) return store_error(last.error());
    const std::int64_t ended = sql_.last_ended.integer(0);
    sql_.last_ended.reset();
    const bool live = ended == std::numeric_limits<std::int64_t>::max();
    if (live || (ended >= micros(before) && !too_many)) continue;
    if (auto done = remove_record(row.id, row.first, row.total); !done) return store_error(done.error());
  }
  if (passed) trim_cursor_.clear();
  return !passed;
}

Result<void> SqliteWriter::remove_record(std::string_view message, std::int64_t first, std::int64_t total) {
  const std::int64_t last = first + total - 1;
  auto size = sql_.record_size.bind_blob(1, message).bind(2, first).bind(3, last).step();
  if (!size) return size.error();
  std::int64_t cost =
      kMessageCost + total * kRecipientCost + sql_.record_size.integer(0) + sql_.record_size.integer(1);
  sql_.record_size.reset();
  auto history = sql_.history_size.bind_blob(1, message).step();
  if (!history) return history.error();
  cost += sql_.history_size.integer(0) * kHistoryCost + sql_.history_size.integer(1);
  sql_.history_size.reset();
  counters_.record_bytes = std::max<std::int64_t>(0, counters_.record_bytes - cost);
  if (auto done = sql_.remove_history.bind_blob(1, message).run(); !done) return done;
  if (auto done = sql_.remove_recipients.bind(1, first).bind(2, last).run(); !done) return done;
  return sql_.remove_message.bind_blob(1, message).run();
}

Result<void> SqliteWriter::forget_keys(WallTime ended_before) {
  auto done = sql_.forget_keys.bind(1, micros(ended_before)).run();
  if (!done) return store_error(done.error());
  return done;
}

Result<void> SqliteWriter::save_quota(const std::map<std::string, StoredBucket>& buckets, WallTime now) {
  for (const auto& [key, stored] : buckets) {
    if (stored.bucket.is_full(stored.rate, now)) {
      if (auto removed = sql_.remove_bucket.bind(1, key).run(); !removed) return store_error(removed.error());
      continue;
    }
    auto saved = sql_.save_bucket.bind(1, key)
                     .bind(2, stored.bucket.tokens)
                     .bind(3, micros(stored.bucket.at))
                     .bind(4, static_cast<std::int64_t>(stored.rate.count))
                     .bind(5, static_cast<std::int64_t>(stored.rate.per.count()))
                     .run();
    if (!saved) return store_error(saved.error());
  }
  return {};
}

}  // namespace holdfast
