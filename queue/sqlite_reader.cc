#include "queue/sqlite_reader.h"

#include <algorithm>
#include <map>
#include <string_view>

#include "queue/store_record.h"

namespace holdfast {
namespace {

// Ends what begin_read() began, on every way out.
class LeaseReading {
 public:
  explicit LeaseReading(LeaseTable& leases) : leases_(leases) { leases_.begin_read(); }
  ~LeaseReading() { leases_.end_read(); }
  LeaseReading(const LeaseReading&) = delete;
  LeaseReading& operator=(const LeaseReading&) = delete;

 private:
  LeaseTable& leases_;
};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool contains(std::string_view text, std::string_view part) {
  auto equal = [](char a, char b) { return lower(a) == lower(b); };
  return part.empty() || std::search(text.begin(), text.end(), part.begin(), part.end(), equal) != text.end();
}

// Of the states that are asked for?
bool wanted(const QueueFilter& filter, RecipientState state) {
  return filter.state ? state == *filter.state : filter.remembered || !has_ended(state);
}

}  // namespace

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

Result<SqliteReader::Probe> SqliteReader::probe(const std::string& domain, WallTime now, SteadyTime steady) {
  const auto limit = static_cast<std::int64_t>(leases_.count(domain) + kMaxDueCount + 1);
  probe_.bind(1, domain).bind(2, limit);
  Probe found;
  while (true) {
    auto row = probe_.step();
    if (!row) return store_error(row.error());
    if (!*row) return found;
    if (leases_.in_hand(static_cast<RecipientId>(probe_.integer(0)), steady)) continue;
    const WallTime at = from_micros(probe_.integer(1));
    if (at > now) found.next = at;
    if (at > now || ++found.due == kMaxDueCount) break;
  }
  probe_.reset();
  return found;
}

Result<Due> SqliteReader::due(WallTime now, SteadyTime steady, std::size_t limit) {
  for (const auto& domain : leases_.expired(steady)) due_.touch(domain, now);
  Due result;
  for (std::size_t left = due_.ready(now); left > 0 && result.domains.size() < limit; --left) {
    const auto candidate = due_.next();
    if (!candidate) break;
    auto found = probe(candidate->domain, now, steady);
    due_.report(*candidate, !found || found->due > 0, found ? found->next : std::nullopt);
    if (!found) return found.error();
    if (found->due > 0) result.domains.push_back({candidate->domain, found->due});
  }
  // The earliest bound may be one that is no longer true; each look corrects one of them.
  constexpr int kMostLooks = 64;
  for (int looks = 0; looks < kMostLooks; ++looks) {
    const auto earliest = due_.earliest();
    if (!earliest) break;
    result.next = earliest->second;
    auto found = probe(earliest->first.domain, now, steady);
    if (!found) return found.error();
    if (found->due == 0 && found->next == earliest->second) break;
    due_.report(earliest->first, found->due > 0, found->next);
    result.next.reset();
  }
  return result;
}

Result<std::vector<std::pair<WallTime, RecipientId>>> SqliteReader::candidates(const std::string& domain,
                                                                               std::size_t n, WallTime now) {
  std::vector<std::pair<WallTime, RecipientId>> found;
  candidates_.bind(1, domain)
      .bind(2, micros(now))
      .bind(3, static_cast<std::int64_t>(n + leases_.count(domain)));
  while (true) {
    auto row = candidates_.step();
    if (!row) return store_error(row.error());
    if (!*row) return found;
    found.emplace_back(from_micros(candidates_.integer(1)), static_cast<RecipientId>(candidates_.integer(0)));
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

Result<bool> SqliteReader::load_claimed(RecipientId id, ClaimedRecipient& into, std::string& message,
                                        std::string& domain) {
  auto row = claimed_.bind(1, static_cast<std::int64_t>(id)).step();
  if (!row) return store_error(row.error());
  if (!*row) return false;
  message = claimed_.blob(0);
  auto recipient = decode_recipient(claimed_.blob(1));
  into.id = id;
  into.attempts = static_cast<unsigned>(claimed_.integer(2));
  into.delay_notice_sent = (claimed_.integer(3) & kFlagDelayNotice) != 0;
  domain = claimed_.text(4);
  claimed_.reset();
  if (!recipient) return recipient.error();
  into.address = std::move(recipient->address);
  into.dsn = std::move(recipient->dsn);
  return true;
}

Result<std::vector<Claim>> SqliteReader::claim(const std::vector<std::string>& domains, std::size_t n,
                                               WallTime now, SteadyTime steady, Duration lease,
                                               Damage& damaged) {
  const LeaseReading reading(leases_);  // before the snapshot: see store_leases.h
  if (auto begun = begin_.run(); !begun) return store_error(begun.error());
  std::vector<std::pair<WallTime, RecipientId>> found;
  for (const auto& domain : domains) {
    auto some = candidates(domain, n, now);
    if (!some) {
      (void)end_.run();
      return some.error();
    }
    std::erase_if(*some, [&](const auto& row) { return leases_.in_hand(row.second, steady); });
    found.insert(found.end(), some->begin(), some->end());
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());

  std::vector<Claim> claims;
  std::map<std::pair<std::string, std::string>, std::size_t> groups;  // (message, domain): index
  std::size_t taken = 0;
  for (const auto& [at, id] : found) {
    if (taken == n) break;
    ClaimedRecipient recipient;
    std::string message, domain;
    auto loaded = load_claimed(id, recipient, message, domain);
    if (loaded && !*loaded) continue;
    std::shared_ptr<const MessageMeta> of;
    auto group = loaded ? groups.find({message, domain}) : groups.end();
    Result<void> sound = loaded ? Result<void>() : Result<void>(loaded.error());
    if (sound && group == groups.end()) {
      auto decoded = meta(message);
      if (decoded) of = *decoded;
      if (!decoded) sound = decoded.error();
    }
    const ClaimToken token =
        sound && group != groups.end() ? claims[group->second].token : leases_.new_token();
    // What is damaged is taken too, so that it is not looked at again before it is set aside.
    if (!leases_.take(id, token, domain, steady, steady + lease)) continue;
    if (!sound) {
      damaged.emplace_back(id, sound.error().text());
      continue;
    }
    if (group == groups.end()) {
      group = groups.emplace(std::pair(message, domain), claims.size()).first;
      claims.push_back(Claim{token, of, domain, {}});
    }
    claims[group->second].recipients.push_back(std::move(recipient));
    ++taken;
  }
  (void)end_.run();  // of a reading transaction: nothing to lose
  return claims;
}

struct SqliteReader::Body {
  std::shared_ptr<const std::string> octets;
  std::optional<BodyFileInfo> file;
};

Result<SqliteReader::Body> SqliteReader::body(std::int64_t row) {
  auto found = body_.bind(1, row).step();
  if (!found) return store_error(found.error());
  if (!*found) return Error(StoreError::damaged, "the shared body is gone");
  Body body;
  const auto length = static_cast<std::uint64_t>(body_.integer(0));
  const auto sum = static_cast<std::uint32_t>(body_.integer(1));
  if (!body_.is_null(2)) {
    body.file = BodyFileInfo{std::string(body_.text(2)), length, sum};
  } else {
    body.octets = std::make_shared<const std::string>(body_.blob(3));
  }
  body_.reset();
  if (body.octets && (body.octets->size() != length || checksum(*body.octets) != sum))
    return Error(StoreError::damaged, "wrong length or checksum of the body");
  return body;
}

Result<FoundContent> SqliteReader::content(QueueId id) {
  if (auto begun = begin_.run(); !begun) return store_error(begun.error());
  auto read = [&]() -> Result<FoundContent> {
    auto found = content_.bind_blob(1, as_octets(id)).step();
    if (!found) return store_error(found.error());
    if (!*found) return Error(StoreError::not_found, id.text());
    MessageContent content;
    const std::int64_t row = content_.integer(1);
    const auto frame_sum = static_cast<std::uint32_t>(content_.integer(2));
    content.prefix = content_.blob(3);
    content.suffix = content_.blob(4);
    content_.reset();
    if (checksum(content.suffix, checksum(content.prefix)) != frame_sum)
      return Error(StoreError::damaged, id.text() + ": wrong checksum of the prefix");
    auto part = body(row);
    if (!part) return part.error();
    content.body = part->octets ? part->octets : std::make_shared<const std::string>();
    FoundContent result;
    result.content = std::make_shared<const MessageContent>(std::move(content));
    result.file = std::move(part->file);
    return result;
  };
  auto result = read();
  (void)end_.run();
  return result;
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

Result<bool> SqliteReader::matches(const QueueFilter& filter, const QueueRow& row) {
  if (filter.id && row.meta->id != *filter.id) return false;
  if (filter.accepted_before && row.meta->accepted >= *filter.accepted_before) return false;
  if (filter.accepted_since && row.meta->accepted < *filter.accepted_since) return false;
  if (!filter.domain.empty() && row.address.domain() != filter.domain) return false;
  if (!filter.user.empty() && row.meta->user != filter.user) return false;
  if (!contains(row.to, filter.to) || !contains(row.meta->reverse_path.text(), filter.from)) return false;
  if (contains(row.reason, filter.error)) return true;
  if (!filter.remembered) return false;
  return history_holds(row.meta->id, filter.error);
}

Result<bool> SqliteReader::history_holds(QueueId id, std::string_view text) {
  history_.bind_blob(1, as_octets(id));
  while (true) {
    auto row = history_.step();
    if (!row) return store_error(row.error());
    if (!*row) return false;
    if (!contains(history_.text(2), text)) continue;
    history_.reset();
    return true;
  }
}

Result<std::vector<QueueRow>> SqliteReader::list(const QueueFilter& filter, SteadyTime steady) {
  std::vector<QueueRow> rows;
  if (auto begun = begin_.run(); !begun) return store_error(begun.error());
  auto read = [&]() -> Result<void> {
    if (filter.id) {
      auto recipients = recipients_of(*filter.id);
      if (!recipients) return recipients.error();
      if (recipients->empty()) return {};
      if (filter.newest_first) {
        const auto before = filter.after == 0 ? recipients->back() : filter.after - 1;
        return list_rows(recipients->front(), std::min(before, recipients->back()), filter, steady, rows);
      }
      return list_rows(std::max(recipients->front(), filter.after + 1), recipients->back(), filter, steady,
                       rows);
    }
    const RecipientId last = RecipientId{1} << 62;
    if (filter.newest_first)
      return list_rows(1, filter.after == 0 ? last : filter.after - 1, filter, steady, rows);
    if (filter.state ? has_ended(*filter.state) : filter.remembered)
      return list_rows(filter.after + 1, last, filter, steady, rows);
    // Messages that have not ended are those with content: the history need not be walked through.
    contents_.bind(1, static_cast<std::int64_t>(filter.after));
    Result<void> result;
    while (result && rows.size() < filter.limit) {
      auto row = contents_.step();
      if (!row) result = store_error(row.error());
      if (!row || !*row) break;
      const auto id = id_from_octets(contents_.blob(1));
      auto recipients =
          id ? recipients_of(*id) : Result<std::vector<RecipientId>>(std::vector<RecipientId>());
      if (!recipients) result = recipients.error();
      if (!recipients || recipients->empty()) continue;
      result = list_rows(std::max(recipients->front(), filter.after + 1), recipients->back(), filter, steady,
                         rows);
    }
    contents_.reset();
    return result;
  };
  auto done = read();
  (void)end_.run();
  if (!done) return done.error();
  return rows;
}

Result<void> SqliteReader::list_rows(RecipientId from, RecipientId to, const QueueFilter& filter,
                                     SteadyTime steady, std::vector<QueueRow>& rows) {
  SqliteStatement& found_rows = filter.newest_first ? rows_down_ : rows_;
  found_rows.bind(1, static_cast<std::int64_t>(from)).bind(2, static_cast<std::int64_t>(to));
  std::string last_message;
  std::shared_ptr<const MessageMeta> last_meta;
  while (rows.size() < filter.limit) {
    auto found = found_rows.step();
    if (!found) return store_error(found.error());
    if (!*found) return {};
    QueueRow row;
    row.recipient = static_cast<RecipientId>(found_rows.integer(0));
    row.state = static_cast<RecipientState>(found_rows.integer(3));
    if (!wanted(filter, row.state)) continue;
    if (last_message != found_rows.blob(1) || !last_meta) {
      last_message = found_rows.blob(1);
      auto decoded = meta(last_message);
      if (!decoded) {
        auto bare = std::make_shared<MessageMeta>();  // damaged: still listed, by its id
        if (const auto id = id_from_octets(last_message)) bare->id = *id;
        last_meta = std::move(bare);
      } else {
        last_meta = *decoded;
      }
    }
    row.meta = last_meta;
    auto recipient = decode_recipient(found_rows.blob(2));
    row.to = recipient ? recipient->address.text() : "(damaged)";
    if (recipient) {
      row.address = std::move(recipient->address);
      row.dsn = std::move(recipient->dsn);
    }
    row.attempts = static_cast<unsigned>(found_rows.integer(4));
    row.next_attempt = from_micros(found_rows.integer(5));
    row.reason = found_rows.text(6);
    row.policy = (found_rows.integer(7) & kFlagPolicy) != 0;
    row.in_hand = row.state == RecipientState::queued && leases_.in_hand(row.recipient, steady);
    row.mx = found_rows.text(8);
    if (has_ended(row.state) && !found_rows.is_null(9)) row.ended = from_micros(found_rows.integer(9));
    auto match = matches(filter, row);
    if (!match) {
      found_rows.reset();
      return match.error();
    }
    if (*match) rows.push_back(std::move(row));
  }
  found_rows.reset();
  return {};
}

Result<std::vector<HistoryEntry>> SqliteReader::history(QueueId id) {
  std::vector<HistoryEntry> entries;
  history_.bind_blob(1, as_octets(id));
  while (true) {
    auto row = history_.step();
    if (!row) return store_error(row.error());
    if (!*row) return entries;
    entries.push_back(
        {id, from_micros(history_.integer(0)), std::string(history_.text(1)), std::string(history_.text(2))});
  }
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
