// smtp/base/sqlite.h — the little of SQLite that the stores use: a database, a statement, errors with words.
//
// One connection belongs to one thread at a time. Every database of the relay is opened alike: WAL,
// synchronous=FULL, so that a commit that returns is on disk.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

#include "smtp/base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace holdfast {

enum class SqliteError {
  busy = 1,    // another process or connection holds it
  full,        // no space on the device
  constraint,  // a rule of the schema was broken; the transaction may go on
  damaged,     // the file is no database, or its pages are corrupt
  io,          // a read, write or sync failed
  other,
};
const char* category_name(SqliteError);
const char* describe(SqliteError);

class SqliteStatement {
 public:
  SqliteStatement() = default;
  ~SqliteStatement();
  SqliteStatement(SqliteStatement&& other) noexcept;
  SqliteStatement& operator=(SqliteStatement&& other) noexcept;

  // Parameters count from 1. Text and blobs are not copied: they stay valid until step() returned the last
  // row or reset() was called.
  SqliteStatement& bind(int index, std::int64_t value);
  SqliteStatement& bind(int index, double value);
  SqliteStatement& bind(int index, std::string_view text);
  SqliteStatement& bind_blob(int index, std::string_view octets);
  SqliteStatement& bind_null(int index);

  // True: a row is there. False: done (and reset). An error resets too.
  Result<bool> step();
  // For statements without rows.
  Result<void> run();
  void reset();

  // Columns count from 0; valid until the next step() or reset().
  std::int64_t integer(int column) const;
  double real(int column) const;
  std::string_view text(int column) const;
  std::string_view blob(int column) const;
  bool is_null(int column) const;

 private:
  friend class SqliteDb;
  explicit SqliteStatement(sqlite3_stmt* statement) : statement_(statement) {}
  sqlite3_stmt* statement_ = nullptr;
};

struct SqliteOptions {
  bool read_only = false;
  bool exclusive = false;  // no second process (locking_mode=exclusive); also avoids the shared memory file
  int page_size = 0;       // bytes, for a new database; 0 = default
  int busy_timeout_ms = 5000;
  const char* vfs = nullptr;  // tests put a faulty file system here
};

// A statement that a store prepares once, when it opens.
struct SqliteQuery {
  SqliteStatement* statement;
  std::string_view sql;
};

class SqliteDb {
 public:
  // Creates the file with mode 0600 when it is missing. The statements made from it must not outlive it.
  static Result<SqliteDb> open(const std::filesystem::path& path, SqliteOptions options = {});
  SqliteDb() = default;
  ~SqliteDb();
  SqliteDb(SqliteDb&& other) noexcept;
  SqliteDb& operator=(SqliteDb&& other) noexcept;

  Result<void> exec(const char* sql);  // one or several statements without parameters
  Result<SqliteStatement> prepare(std::string_view sql);
  Result<void> prepare_all(std::initializer_list<SqliteQuery> queries);
  // BEGIN IMMEDIATE, `work`, COMMIT; all of it is rolled back when one of them fails.
  Result<void> in_transaction(const std::function<Result<void>()>& work);
  std::int64_t last_insert_rowid() const;
  int changes() const;
  Error last_error(std::string_view doing) const;
  sqlite3* handle() const { return db_; }

 private:
  sqlite3* db_ = nullptr;
};

}  // namespace holdfast
