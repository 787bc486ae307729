// queue/sqlite_schema.h — the tables of data_dir/queue.db and what its columns mean.
//
//   message    one row per message, kept for queue.history: `first` is the id of its first recipient, `total`
//   how
//              many it has (their ids follow each other), `meta` a record of store_record.h
//   recipient  one row per recipient, kept as long; `address` a record. The partial index recipient_due holds
//   the
//              queued ones only, so claims cost what they return, however long queue and history are
//   content    one row per message that has not ended: prefix, suffix and body, or the number of the row that
//   has
//              the body (`body`). `live` is 0 when the message has ended and others still share its body
//   shared_body  how many messages hold a body, for those with two or more
//   idempotency  keys and the message each stands for; `ended` once that message has
//   history    what deliverer and intake noted
//   quota      token buckets
//   counter    sums, so that status costs nothing
#pragma once

#include <filesystem>

#include "queue/store.h"
#include "smtp/base/sqlite.h"

namespace holdfast {

inline constexpr int kPageSize = 16384;  // measured: half the CPU of 4096 from 50 KB on

// Opens the writer's connection and makes or checks the schema. A newer schema than this build knows is
// refused.
Result<SqliteDb> open_queue_database(const std::filesystem::path& path, const char* vfs);
Result<SqliteDb> open_queue_reader(const std::filesystem::path& path, const char* vfs);

// What a failure of SQLite means to users of the store.
Error store_error(const Error& sqlite_error);

// Flags of a recipient row.
inline constexpr std::int64_t kFlagDelayNotice = 1, kFlagPolicy = 2, kFlagKeyed = 4;

std::string_view as_octets(const QueueId& id);
std::optional<QueueId> id_from_octets(std::string_view octets);
inline std::int64_t micros(WallTime at) { return at.time_since_epoch().count(); }
inline WallTime from_micros(std::int64_t value) { return WallTime(std::chrono::microseconds(value)); }

}  // namespace holdfast
