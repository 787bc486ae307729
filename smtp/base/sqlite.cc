#include "smtp/base/sqlite.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace holdfast {

namespace {

SqliteError classify(int code) {
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return SqliteError::busy;
    case SQLITE_FULL: return SqliteError::full;
    case SQLITE_CONSTRAINT: return SqliteError::constraint;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return SqliteError::damaged;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY: return SqliteError::io;
    default: return SqliteError::other;
  }
}

Error error_of(sqlite3* db, std::string_view doing) {
  const int code = sqlite3_extended_errcode(db);
  SqliteError kind = classify(code);
  // A write that fails for want of space is reported as an I/O error by some file systems.
  if (kind == SqliteError::io && (sqlite3_system_errno(db) == ENOSPC || sqlite3_system_errno(db) == EDQUOT)) {
    kind = SqliteError::full;
  }
  return Error(kind, std::string(doing) + ": " + sqlite3_errmsg(db) + " (" + sqlite3_errstr(code) + ")");
}

}  // namespace

const char* category_name(SqliteError) { return "sqlite"; }

const char* describe(SqliteError error) {
  switch (error) {
    case SqliteError::busy: return "the database is in use";
    case SqliteError::full: return "no space is left for the database";
    case SqliteError::constraint: return "a constraint of the database was broken";
    case SqliteError::damaged: return "the database is damaged";
    case SqliteError::io: return "the database cannot be read or written";
    case SqliteError::other: return "the database refused";
  }
  return "the database refused";
}

SqliteStatement::~SqliteStatement() { sqlite3_finalize(statement_); }
SqliteStatement::SqliteStatement(SqliteStatement&& other) noexcept
    : statement_(std::exchange(other.statement_, nullptr)) {}
SqliteStatement& SqliteStatement::operator=(SqliteStatement&& other) noexcept {
  std::swap(statement_, other.statement_);
  return *this;
}

// A failed bind (out of range, out of memory) leaves its mark in the statement: the next step() reports it.
SqliteStatement& SqliteStatement::bind(int index, std::int64_t value) {
  sqlite3_bind_int64(statement_, index, value);
  return *this;
}
SqliteStatement& SqliteStatement::bind(int index, double value) {
  sqlite3_bind_double(statement_, index, value);
  return *this;
}
SqliteStatement& SqliteStatement::bind(int index, std::string_view text) {
  // A null pointer would bind NULL instead of the empty text.
  sqlite3_bind_text64(statement_, index, text.data() == nullptr ? "" : text.data(), text.size(),
                      SQLITE_STATIC, SQLITE_UTF8);
  return *this;
}
SqliteStatement& SqliteStatement::bind_blob(int index, std::string_view octets) {
  sqlite3_bind_blob64(statement_, index, octets.data() == nullptr ? "" : octets.data(), octets.size(),
                      SQLITE_STATIC);
  return *this;
}
SqliteStatement& SqliteStatement::bind_null(int index) {
  sqlite3_bind_null(statement_, index);
  return *this;
}

Result<bool> SqliteStatement::step() {
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) {
    sqlite3_reset(statement_);
    return false;
  }
  const char* sql = sqlite3_sql(statement_);
  Error error = error_of(sqlite3_db_handle(statement_), sql == nullptr ? "statement" : sql);
  sqlite3_reset(statement_);
  return error;
}

Result<void> SqliteStatement::run() {
  while (true) {
    auto row = step();
    if (!row) return row.error();
    if (!*row) return {};
  }
}

void SqliteStatement::reset() { sqlite3_reset(statement_); }

std::int64_t SqliteStatement::integer(int column) const { return sqlite3_column_int64(statement_, column); }
double SqliteStatement::real(int column) const { return sqlite3_column_double(statement_, column); }
std::string_view SqliteStatement::text(int column) const {
  const auto* data = sqlite3_column_text(statement_, column);
  if (data == nullptr) return {};
  return {reinterpret_cast<const char*>(data),
          static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}
std::string_view SqliteStatement::blob(int column) const {
  const void* data = sqlite3_column_blob(statement_, column);
  if (data == nullptr) return {};
  return {static_cast<const char*>(data), static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}
bool SqliteStatement::is_null(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

Result<SqliteDb> SqliteDb::open(const std::filesystem::path& path, SqliteOptions options) {
  if (!options.read_only && options.vfs == nullptr) {
    // SQLite would create the file by the umask; mail is nobody else's business. One that exists is never
    // opened here: close() would drop the locks that this process holds on it (fcntl(2)), and without them
    // the next program that opens and closes the database removes the log to which we go on writing.
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno != EEXIST)
      return Error(SqliteError::io, "opening " + path.string() + ": " + std::strerror(errno));
    if (fd >= 0) ::close(fd);
  }
  SqliteDb db;
  const int flags = (options.read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE) |
                    SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  if (sqlite3_open_v2(path.c_str(), &db.db_, flags, options.vfs) != SQLITE_OK) {
    return db.last_error("opening " + path.string());
  }
  sqlite3_busy_timeout(db.db_, options.busy_timeout_ms);
  std::string setup = options.exclusive ? "PRAGMA locking_mode=EXCLUSIVE;" : "";
  if (!options.read_only) {
    if (options.page_size > 0) setup += "PRAGMA page_size=" + std::to_string(options.page_size) + ";";
    setup += "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;";
  }
  setup += "PRAGMA foreign_keys=ON;PRAGMA temp_store=MEMORY;";
  auto done = db.exec(setup.c_str());
  if (!done) return Error(done.error().code, path.string() + ": " + done.error().detail);
  return db;
}

SqliteDb::~SqliteDb() { sqlite3_close_v2(db_); }
SqliteDb::SqliteDb(SqliteDb&& other) noexcept : db_(std::exchange(other.db_, nullptr)) {}
SqliteDb& SqliteDb::operator=(SqliteDb&& other) noexcept {
  std::swap(db_, other.db_);
  return *this;
}

Result<void> SqliteDb::exec(const char* sql) {
  if (sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) return last_error(sql);
  return {};
}

Result<SqliteStatement> SqliteDb::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v3(db_, sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &statement,
                         nullptr) != SQLITE_OK) {
    return last_error(sql);
  }
  return SqliteStatement(statement);
}

Result<void> SqliteDb::prepare_all(std::initializer_list<SqliteQuery> queries) {
  for (const auto& query : queries) {
    auto made = prepare(query.sql);
    if (!made) return made.error();
    *query.statement = std::move(*made);
  }
  return {};
}

Result<void> SqliteDb::in_transaction(const std::function<Result<void>()>& work) {
  if (auto begun = exec("BEGIN IMMEDIATE"); !begun) return begun.error();
  auto done = work();
  if (done) done = exec("COMMIT");
  // After a failed COMMIT there may be no transaction left to roll back.
  if (!done) (void)exec("ROLLBACK");
  return done;
}

std::int64_t SqliteDb::last_insert_rowid() const { return sqlite3_last_insert_rowid(db_); }
int SqliteDb::changes() const { return sqlite3_changes(db_); }
Error SqliteDb::last_error(std::string_view doing) const { return error_of(db_, doing); }

}  // namespace holdfast
