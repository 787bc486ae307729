#include "tlsrpt/tlsrpt_database.h"

namespace holdfast {

namespace {

// One row per policy text keeps the session rows small: a policy may be 64 KiB long.
constexpr const char* kLedgerTables = R"sql(
CREATE TABLE IF NOT EXISTS policy(
  id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, type INTEGER NOT NULL, domain TEXT NOT NULL, text TEXT NOT NULL,
  mx TEXT NOT NULL, mode INTEGER NOT NULL, enforced INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS session(
  day INTEGER NOT NULL, domain TEXT NOT NULL, node TEXT NOT NULL, policy INTEGER NOT NULL REFERENCES policy(id),
  result INTEGER NOT NULL, failure TEXT NOT NULL, sending_ip TEXT NOT NULL, mx_host TEXT NOT NULL,
  mx_helo TEXT NOT NULL, receiving_ip TEXT NOT NULL, information TEXT NOT NULL, reason TEXT NOT NULL,
  sessions INTEGER NOT NULL,
  PRIMARY KEY(day, domain, node, policy, result, failure)) WITHOUT ROWID;
PRAGMA user_version = 1;
)sql";

// Times are microseconds of Unix time. `next` is NULL once the report is done.
constexpr const char* kReporterTables = R"sql(
CREATE TABLE IF NOT EXISTS report(
  day INTEGER NOT NULL, domain TEXT NOT NULL, state INTEGER NOT NULL, lookups INTEGER NOT NULL, next INTEGER,
  started INTEGER, ended INTEGER, report_id TEXT NOT NULL, json TEXT NOT NULL, reason TEXT NOT NULL,
  erased INTEGER NOT NULL DEFAULT 0, lease_owner TEXT, lease_until INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY(day, domain)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS report_next ON report(next) WHERE next IS NOT NULL;
CREATE INDEX IF NOT EXISTS report_ended ON report(ended) WHERE ended IS NOT NULL;
CREATE TABLE IF NOT EXISTS target(
  day INTEGER NOT NULL, domain TEXT NOT NULL, number INTEGER NOT NULL, kind INTEGER NOT NULL,
  address TEXT NOT NULL, key TEXT NOT NULL, state INTEGER NOT NULL, attempts INTEGER NOT NULL,
  next INTEGER NOT NULL, reason TEXT NOT NULL,
  PRIMARY KEY(day, domain, number)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS target_key ON target(key);
CREATE TABLE IF NOT EXISTS suppressed(
  address TEXT PRIMARY KEY, until INTEGER NOT NULL, reason TEXT NOT NULL) WITHOUT ROWID;
)sql";

}  // namespace

Result<SqliteDb> open_tlsrpt_database(const std::filesystem::path& file) {
  auto db = SqliteDb::open(file);
  if (!db) return db;
  for (const char* tables : {kLedgerTables, kReporterTables})
    if (auto made = db->exec(tables); !made) return made.error();
  return db;
}

}  // namespace holdfast
