// queue/sqlite_reader.h — the questions to queue.db, on a reading connection of its own. One thread at a
// time.
//
// In four files: the statements and what is read at start (sqlite_reader.cc), what is due and claimed
// (…_claim.cc), contents (…_content.cc), what operators ask for (…_list.cc).
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "queue/body_cache.h"
#include "queue/body_reader.h"
#include "queue/sqlite_schema.h"
#include "queue/sqlite_writer.h"
#include "queue/store.h"
#include "queue/store_due.h"
#include "queue/store_leases.h"

namespace holdfast {

inline constexpr std::uint64_t kMaxDueCount = 1000;  // counting further would cost more than it tells

// The content of a message as it stands in the database. The body is in `content` or in `file`.
struct FoundContent {
  std::shared_ptr<const MessageContent> content;
  std::optional<BodyFileInfo> file;
};

class SqliteReader {
 public:
  // All must outlive the reader.
  SqliteReader(SqliteDb db, LeaseTable& leases, DueIndex& due)
      : db_(std::move(db)), leases_(leases), due_(due) {}
  Result<void> open();  // prepares the statements

  // Fills the due index with every queued domain; at start.
  Result<void> load_due();
  Result<std::vector<std::pair<std::string, StoredBucket>>> load_quota();
  Result<std::vector<std::string>> files();

  Result<Due> due(WallTime now, SteadyTime steady, std::size_t limit);
  // `damaged` gets the recipients whose rows could not be read and what is wrong with them.
  using Damage = std::vector<std::pair<RecipientId, std::string>>;
  Result<std::vector<Claim>> claim(const std::vector<std::string>& domains, std::size_t n, WallTime now,
                                   SteadyTime steady, Duration lease, Damage& damaged);
  Result<FoundContent> content(QueueId id);
  Result<std::vector<RecipientId>> recipients_of(QueueId id);
  Result<std::vector<QueueRow>> list(const QueueFilter& filter, SteadyTime steady);
  Result<std::vector<HistoryEntry>> history(QueueId id);
  Result<std::optional<WallTime>> oldest();

 private:
  struct Probe {
    std::uint64_t due = 0;
    std::optional<WallTime> next;
  };
  Result<Probe> probe(const std::string& domain, WallTime now, SteadyTime steady);
  Result<std::vector<std::pair<WallTime, RecipientId>>> candidates(const std::string& domain, std::size_t n,
                                                                   WallTime now);
  Result<std::shared_ptr<const MessageMeta>> meta(std::string_view id);
  Result<bool> load_claimed(RecipientId id, ClaimedRecipient& into, std::string& message,
                            std::string& domain);
  struct Body;
  Result<Body> body(std::int64_t row);
  Result<bool> matches(const QueueFilter& filter, const QueueRow& row);
  Result<bool> history_holds(QueueId id, std::string_view text);
  Result<void> list_rows(RecipientId from, RecipientId to, const QueueFilter& filter, SteadyTime steady,
                         std::vector<QueueRow>& rows);

  SqliteDb db_;
  LeaseTable& leases_;
  DueIndex& due_;
  SqliteStatement begin_, end_, probe_, candidates_, claimed_, meta_, content_, body_, of_message_, rows_,
      rows_down_, contents_, history_, oldest_;
};

}  // namespace holdfast
