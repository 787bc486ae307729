// The part of the SqliteWriter that moves recipients on: completions, deferrals, what operators change, and
// the end of a message with the last of its recipients.
#include <utility>

#include "queue/sqlite_writer.h"
#include "queue/store_record.h"

namespace holdfast {
namespace {

std::int64_t number(RecipientState state) { return static_cast<std::int64_t>(state); }

// Held ones were held while they were being tried.
bool may_be_in_hand(RecipientState state) {
  return state == RecipientState::queued || state == RecipientState::held;
}

}  // namespace

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
    if (!*row || !may_be_in_hand((*row)->state)) result.stale.push_back(id);
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
  if (!*row || !may_be_in_hand((*row)->state)) {
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
  if (!*found || !may_be_in_hand((*found)->state)) {
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
  count(row.state, row.attempts, -1);
  count(row.state, attempts, 1);
  if (row.state == RecipientState::queued) effects.due.emplace_back(row.domain, defer.next_attempt);
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
      // One that is in hand keeps its claim: if this very attempt reaches its goal, that must be recorded, or
      // the release would send it once more.
      if (leases_.seize_waiting(id, steady)) effects.marked.push_back(id);
      return set_state(id, row, RecipientState::held, std::nullopt);
    case OperatorChange::What::release:
      if (row.state != RecipientState::held) return {};
      return make_due(id, row, now, effects);
    case OperatorChange::What::retry:
      if (row.state != RecipientState::queued || leases_.in_hand(id, steady)) return {};
      return make_due(id, row, now, effects);
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

// Now, or when the message may go for the first time (FUTURERELEASE, RFC 4865).
Result<void> SqliteWriter::make_due(RecipientId id, const RecipientRow& row, WallTime now,
                                    WriteEffects& effects) {
  WallTime at = now;
  if (row.attempts == 0) {
    auto& load = sql_.load_meta;
    auto found = load.bind_blob(1, row.message).step();
    if (!found) return found.error();
    if (*found) {
      // One that is damaged is found so when it is claimed.
      if (const auto meta = decode_meta(load.blob(0))) at = std::max(now, meta->release);
    }
    load.reset();
  }
  effects.due.emplace_back(row.domain, at);
  return set_state(id, row, RecipientState::queued, at);
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
    auto& load = sql_.load_meta;
    auto row = load.bind_blob(1, message.message).step();
    if (!row) return row.error();
    const auto meta = *row ? decode_meta(load.blob(0)) : Result<MessageMeta>(MessageMeta{});
    load.reset();
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

}  // namespace holdfast
