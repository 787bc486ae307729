// The part of the SqliteReader that answers operators: rows that match a filter, and a message's history.
#include <algorithm>
#include <string_view>

#include "queue/sqlite_reader.h"
#include "queue/store_record.h"

namespace holdfast {
namespace {

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

}  // namespace holdfast
