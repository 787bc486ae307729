// queue/sqlite_store.h — the embedded store: data_dir/queue.db (WAL, synchronous=FULL) and data_dir/bodies/.
//
// Threads: one commits (sqlite_committer.h), one reads for delivery, one for the operator, a few write and
// read body files, one looks after free space and checkpoints. A caller waits for none of them: its coroutine
// is resumed on its own executor.
//
// One process per data_dir (data_dir/queue.lock, else StoreError::conflict). Claims, leases and tokens live
// in memory: a restart voids all of them, and everything that was in hand is due again.
#pragma once

#include <filesystem>
#include <memory>

#include "config/settings.h"
#include "queue/store.h"
#include "smtp/base/log.h"
#include "smtp/base/metrics.h"
#include "smtp/server/quota.h"

namespace holdfast {

struct SqliteStoreOptions {
  std::filesystem::path data_dir;  // made when missing
  std::uint64_t inline_limit = 0;  // octets; larger bodies go to files
  DiskReserve min_free_space;
  Millis history{0};
  std::uint64_t history_size = 0;  // octets
  std::size_t header_size = 0;     // octets that read_header() looks at beyond the prefix
  const char* vfs = nullptr;       // SQLite's file system; nullptr = the system's
  // Claims are numbered from here, unlike in any run before; 0: chance says where.
  std::uint64_t first_token = 0;

  static SqliteStoreOptions from(const Settings& settings);
};

// All methods may be called on any worker. StoredBody and StagedBody objects must not outlive it.
class SqliteStore : public Store, public Quota {
 public:
  // Opens, recovers (orphaned body files are removed) and starts the threads. Clock, log and metrics outlive
  // it. Errors: StoreError::conflict, damaged, io, full.
  static Result<std::unique_ptr<SqliteStore>> open(SqliteStoreOptions options, Clock& clock, Log& log,
                                                   Metrics& metrics);
};

}  // namespace holdfast
