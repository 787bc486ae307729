#include "queue/sqlite_reader.h"

#include "queue/store_record.h"

namespace holdfast {

Result<void> SqliteReader::open() {
  const std::pair<SqliteStatement*, const char*> all[] = {
      {&begin_, "BEGIN"},
      {&end_, "COMMIT"},
      {&probe_,
       "SELECT id, next_attempt FROM recipient WHERE state=0 AND domain=?1 ORDER BY next_attempt, id LIMIT "
       "?2"},
      {&candidates_,
       "SELECT id, next_attempt FROM recipient WHERE state=0 AND domain=?1 AND next_attempt<=?2 "
       "ORDER BY next_attempt, id LIMIT ?3"},
      {&claimed_, "SELECT message, address, attempts, flags, domain FROM recipient WHERE id=?1"},
      {&meta_, "SELECT meta FROM message WHERE id=?1"},
      {&content_,
       "SELECT c.first, c.body, c.frame_sum, c.prefix, c.suffix FROM message m JOIN content c ON "
       "c.first=m.first "
       "WHERE m.id=?1 AND c.live=1"},
      {&body_, "SELECT length, sum, file, data FROM content WHERE first=?1"},
      {&of_message_, "SELECT first, total FROM message WHERE id=?1"},
      {&rows_,
       "SELECT id, message, address, state, attempts, next_attempt, reason, flags, mx, ended FROM recipient "
       "WHERE id BETWEEN ?1 AND ?2 ORDER BY id"},
      {&rows_down_,
       "SELECT id, message, address, state, attempts, next_attempt, reason, flags, mx, ended FROM recipient "
       "WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC"},
      {&contents_,
       "SELECT first, message FROM content WHERE first>=coalesce((SELECT max(first) FROM content WHERE "
       "first<=?1), 0) "
       "ORDER BY first"},
      {&history_, "SELECT at, event, detail FROM history WHERE message=?1 ORDER BY number"},
      {&oldest_, "SELECT message FROM content WHERE live=1 ORDER BY first LIMIT 1"},
  };
  for (const auto& [statement, text] : all) {
    auto prepared = db_.prepare(text);
    if (!prepared) return store_error(prepared.error());
    *statement = std::move(*prepared);
  }
  return {};
}

Result<void> SqliteReader::load_due() {
  // One seek per domain: the smallest time of the next domain after the last.
  auto query = db_.prepare(
      "SELECT domain, next_attempt FROM recipient WHERE state=0 AND domain>?1 ORDER BY domain, next_attempt "
      "LIMIT 1");
  if (!query) return store_error(query.error());
  std::string domain;
  while (true) {
    auto row = query->bind(1, domain).step();
    if (!row) return store_error(row.error());
    if (!*row) return {};
    std::string next(query->text(0));
    due_.touch(next, from_micros(query->integer(1)));
    query->reset();
    domain = std::move(next);
  }
}

Result<std::vector<std::pair<std::string, StoredBucket>>> SqliteReader::load_quota() {
  auto query = db_.prepare("SELECT key, tokens, at, count, per FROM quota");
  if (!query) return store_error(query.error());
  std::vector<std::pair<std::string, StoredBucket>> buckets;
  while (true) {
    auto row = query->step();
    if (!row) return store_error(row.error());
    if (!*row) return buckets;
    StoredBucket stored;
    stored.bucket = {query->real(1), from_micros(query->integer(2))};
    stored.rate = {static_cast<std::uint64_t>(query->integer(3)), Millis(query->integer(4))};
    buckets.emplace_back(std::string(query->text(0)), stored);
  }
}

Result<std::vector<std::string>> SqliteReader::files() {
  auto query = db_.prepare("SELECT file FROM content WHERE file IS NOT NULL");
  if (!query) return store_error(query.error());
  std::vector<std::string> names;
  while (true) {
    auto row = query->step();
    if (!row) return store_error(row.error());
    if (!*row) return names;
    names.emplace_back(query->text(0));
  }
}

Result<std::shared_ptr<const MessageMeta>> SqliteReader::meta(std::string_view id) {
  auto row = meta_.bind_blob(1, id).step();
  if (!row) return store_error(row.error());
  if (!*row) return Error(StoreError::damaged, "no row of the message");
  auto decoded = decode_meta(meta_.blob(0));
  meta_.reset();
  if (!decoded) return decoded.error();
  return std::make_shared<const MessageMeta>(std::move(*decoded));
}

Result<std::vector<RecipientId>> SqliteReader::recipients_of(QueueId id) {
  auto found = of_message_.bind_blob(1, as_octets(id)).step();
  if (!found) return store_error(found.error());
  std::vector<RecipientId> recipients;
  if (!*found) return recipients;
  const auto first = static_cast<RecipientId>(of_message_.integer(0));
  const auto total = static_cast<RecipientId>(of_message_.integer(1));
  of_message_.reset();
  for (RecipientId recipient = first; recipient < first + total; ++recipient) recipients.push_back(recipient);
  return recipients;
}

Result<std::optional<WallTime>> SqliteReader::oldest() {
  auto row = oldest_.step();
  if (!row) return store_error(row.error());
  if (!*row) return std::optional<WallTime>();
  const auto id = id_from_octets(oldest_.blob(0));
  oldest_.reset();
  if (!id) return Error(StoreError::damaged, "a content row");
  std::int64_t millis = 0;
  for (std::size_t i = 0; i < 6; ++i) millis = (millis << 8) | id->bytes[i];
  return std::optional(WallTime(std::chrono::milliseconds(millis)));
}

}  // namespace holdfast
