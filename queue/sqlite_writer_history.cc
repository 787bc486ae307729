// The part of the SqliteWriter that keeps the history: what is added to it, and what is trimmed.
#include <algorithm>
#include <limits>

#include "queue/sqlite_writer.h"
#include "queue/store_record.h"

namespace holdfast {
namespace {

// The first 48 bits of a queue id are milliseconds.
WallTime accepted_time(std::string_view id) {
  std::int64_t millis = 0;
  for (const char octet : id.substr(0, 6)) millis = (millis << 8) | static_cast<std::uint8_t>(octet);
  return WallTime(std::chrono::milliseconds(millis));
}

}  // namespace

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
