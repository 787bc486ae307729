#include "queue/sqlite_schema.h"

#include <algorithm>

namespace holdfast {
namespace {

constexpr std::int64_t kSchemaVersion = 1;

constexpr const char* kSchema = R"sql(
BEGIN IMMEDIATE;
CREATE TABLE schema_version(version INTEGER NOT NULL);
INSERT INTO schema_version VALUES(1);
CREATE TABLE counter(
  id INTEGER PRIMARY KEY CHECK(id = 1), last_recipient INTEGER NOT NULL, messages INTEGER NOT NULL,
  bytes INTEGER NOT NULL, queued INTEGER NOT NULL, deferred INTEGER NOT NULL, held INTEGER NOT NULL,
  damaged INTEGER NOT NULL, record_bytes INTEGER NOT NULL);
INSERT INTO counter VALUES(1, 0, 0, 0, 0, 0, 0, 0, 0);
CREATE TABLE message(
  id BLOB PRIMARY KEY, first INTEGER NOT NULL, total INTEGER NOT NULL, meta BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE recipient(
  id INTEGER PRIMARY KEY, message BLOB NOT NULL, first INTEGER NOT NULL, total INTEGER NOT NULL,
  domain TEXT NOT NULL, address BLOB NOT NULL, state INTEGER NOT NULL, next_attempt INTEGER NOT NULL,
  attempts INTEGER NOT NULL, flags INTEGER NOT NULL, reason TEXT NOT NULL, mx TEXT NOT NULL, ended INTEGER);
CREATE INDEX recipient_due ON recipient(domain, next_attempt) WHERE state = 0;
CREATE TABLE content(
  first INTEGER PRIMARY KEY, message BLOB NOT NULL, body INTEGER NOT NULL, live INTEGER NOT NULL,
  bytes INTEGER NOT NULL, length INTEGER NOT NULL, sum INTEGER NOT NULL, frame_sum INTEGER NOT NULL, file TEXT,
  prefix BLOB NOT NULL, suffix BLOB NOT NULL, data BLOB);
CREATE TABLE shared_body(body INTEGER PRIMARY KEY, holders INTEGER NOT NULL);
CREATE TABLE idempotency(key TEXT PRIMARY KEY, message BLOB NOT NULL, ended INTEGER) WITHOUT ROWID;
CREATE INDEX idempotency_ended ON idempotency(ended) WHERE ended IS NOT NULL;
CREATE TABLE history(
  message BLOB NOT NULL, number INTEGER NOT NULL, at INTEGER NOT NULL, event TEXT NOT NULL, detail TEXT NOT NULL,
  PRIMARY KEY(message, number)) WITHOUT ROWID;
CREATE TABLE quota(
  key TEXT PRIMARY KEY, tokens REAL NOT NULL, at INTEGER NOT NULL, count INTEGER NOT NULL, per INTEGER NOT NULL)
  WITHOUT ROWID;
COMMIT;
)sql";

Result<bool> has_schema(SqliteDb& db) {
  auto query = db.prepare("SELECT 1 FROM sqlite_master WHERE name = 'schema_version'");
  if (!query) return query.error();
  auto row = query->step();
  query->reset();
  return row;
}

Result<void> check_schema(SqliteDb& db) {
  auto there = has_schema(db);
  if (!there) return there.error();
  if (!*there) return db.exec(kSchema);
  auto query = db.prepare("SELECT version FROM schema_version");
  if (!query) return query.error();
  auto row = query->step();
  if (!row) return row.error();
  const std::int64_t version = *row ? query->integer(0) : 0;
  if (version == kSchemaVersion) return {};
  return Error(StoreError::damaged, "queue.db has schema " + std::to_string(version) + ", this build knows " +
                                        std::to_string(kSchemaVersion));
}

}  // namespace

Result<SqliteDb> open_queue_database(const std::filesystem::path& path, const char* vfs) {
  SqliteOptions options;
  options.page_size = kPageSize;
  options.vfs = vfs;
  auto db = SqliteDb::open(path, options);
  if (!db) return store_error(db.error());
  // Checkpoints are the checkpointer's, off the path of commits. A group of messages fits the cache, and is
  // written once, at its commit.
  auto set = db->exec(
      "PRAGMA wal_autocheckpoint=0;PRAGMA cache_size=-16384;PRAGMA cache_spill=OFF;"
      "PRAGMA journal_size_limit=134217728;");
  if (!set) return store_error(set.error());
  if (auto sound = check_schema(*db); !sound) return store_error(sound.error());
  return db;
}

Result<SqliteDb> open_queue_reader(const std::filesystem::path& path, const char* vfs) {
  SqliteOptions options;
  options.read_only = true;
  options.vfs = vfs;
  auto db = SqliteDb::open(path, options);
  if (!db) return store_error(db.error());
  if (auto set = db->exec("PRAGMA cache_size=-4096;"); !set) return store_error(set.error());
  return db;
}

Error store_error(const Error& error) {
  if (error.is(SqliteError::full)) return Error(StoreError::full, error.detail);
  if (error.is(SqliteError::busy)) return Error(StoreError::conflict, error.detail);
  if (error.is(SqliteError::constraint)) return Error(StoreError::rejected, error.detail);
  if (error.is(SqliteError::damaged)) return Error(StoreError::damaged, error.detail);
  if (error.is(SqliteError::io) || error.is(SqliteError::other)) return Error(StoreError::io, error.detail);
  return error;  // the store's own
}

std::string_view as_octets(const QueueId& id) {
  return {reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size()};
}

std::optional<QueueId> id_from_octets(std::string_view octets) {
  QueueId id;
  if (octets.size() != id.bytes.size()) return std::nullopt;
  std::copy(octets.begin(), octets.end(), reinterpret_cast<char*>(id.bytes.data()));
  return id;
}

}  // namespace holdfast
