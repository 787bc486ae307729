#include "queue/operator_change.h"

#include <algorithm>
#include <iterator>
#include <map>

#include "queue/delivery_record.h"
#include "queue/dkim_notification.h"
#include "queue/dsn.h"

namespace holdfast {
namespace {

constexpr std::size_t kMessagesTogether = 50;  // in one transaction
constexpr int kBounceTries = 3;                // while deliveries come between
constexpr const char* kStatus = "5.0.0";       // RFC 3463: a permanent failure that nothing names closer

const char* past(OperatorChange::What what) {
  switch (what) {
    case OperatorChange::What::hold: return "held";
    case OperatorChange::What::release: return "released";
    case OperatorChange::What::retry: return "retried";
    case OperatorChange::What::remove: return "removed";
    case OperatorChange::What::bounce: return "bounced";
  }
  return "changed";
}

HistoryEntry entry_for(const std::vector<QueueRow>& rows, OperatorChange::What what,
                       const std::string& reason, WallTime now) {
  Fields fields;
  fields.add("to", rows.front().to).add("recipients", std::uint64_t{rows.size()}).add("by", "operator");
  if (what == OperatorChange::What::bounce) fields.add("enhanced", kStatus).add("reply", reason);
  return {rows.front().meta->id, now, past(what), "{" + fields.json() + "}"};
}

std::vector<std::vector<QueueRow>> by_message(std::vector<QueueRow> rows) {
  std::vector<std::vector<QueueRow>> out;
  std::map<QueueId, std::size_t> at;
  for (auto& row : rows) {
    const auto [place, fresh] = at.try_emplace(row.meta->id, out.size());
    if (fresh) out.emplace_back();
    out[place->second].push_back(std::move(row));
  }
  return out;
}

DsnRecipient told(const QueueRow& row, const std::string& reason) {
  DsnRecipient recipient;
  recipient.address = row.address;
  recipient.dsn = row.dsn;
  recipient.status = kStatus;
  recipient.explanation = reason;
  if (!row.reason.empty()) recipient.explanation += ". The last obstacle: " + row.reason;
  return recipient;
}

}  // namespace

std::vector<QueueRow> OperatorHand::concerned(OperatorChange::What what, std::vector<QueueRow> rows) {
  std::erase_if(rows, [what](const QueueRow& row) {
    switch (what) {
      case OperatorChange::What::hold:
      case OperatorChange::What::retry: return row.state != RecipientState::queued;
      case OperatorChange::What::release: return row.state != RecipientState::held;
      case OperatorChange::What::remove: return has_ended(row.state);
      case OperatorChange::What::bounce: return has_ended(row.state) || row.address.empty();
    }
    return true;
  });
  return rows;
}

asio::awaitable<Result<ChangeCount>> OperatorHand::apply(OperatorChange::What what,
                                                         std::vector<QueueRow> rows, std::string reason) {
  ChangeCount count;
  rows = concerned(what, std::move(rows));
  if (rows.empty()) co_return count;
  if (what == OperatorChange::What::bounce) {
    auto bouncing = bounce(std::move(rows), std::move(reason));
    co_return co_await std::move(bouncing);
  }
  Batch batch;
  OperatorChange& change = batch.changes.emplace_back();
  change.what = what;
  for (const auto& row : rows) change.recipients.push_back(row.recipient);
  for (const auto& message : by_message(rows))
    batch.history.push_back(entry_for(message, what, "", parts_.timeline.now()));
  const auto applied = co_await parts_.store.apply(std::move(batch));
  if (!applied) co_return applied.error();
  if (what == OperatorChange::What::remove)
    for (const auto& row : rows) tell_origin(row, RecipientEnd::How::removed, "removed by the operator");
  count.changed = rows.size();
  parts_.work.look_again();
  co_return count;
}

asio::awaitable<Result<ChangeCount>> OperatorHand::bounce(std::vector<QueueRow> rows, std::string reason) {
  reason = sanitise(reason.empty() ? "the operator of this relay has given the message up" : reason);
  ChangeCount count;
  std::vector<Part> together;
  for (auto& message : by_message(std::move(rows))) {
    Part part;
    part.rows = std::move(message);
    together.push_back(std::move(part));
    if (together.size() < kMessagesTogether) continue;
    auto bouncing = bounce_together(std::exchange(together, {}), reason, count);
    const auto done = co_await std::move(bouncing);
    if (!done) co_return done.error();
  }
  if (!together.empty()) {
    auto bouncing = bounce_together(std::move(together), reason, count);
    const auto done = co_await std::move(bouncing);
    if (!done) co_return done.error();
  }
  parts_.work.look_again();
  co_return count;
}

// The batch that ends the recipients and tells their sender; empty when all of them are being tried.
asio::awaitable<Result<OperatorHand::Part>> OperatorHand::prepare(std::vector<QueueRow> rows,
                                                                  std::string reason) {
  Part part;
  std::erase_if(rows, [](const QueueRow& row) { return row.in_hand || has_ended(row.state); });
  part.rows = std::move(rows);
  if (part.rows.empty()) co_return part;
  const auto settings = parts_.settings.current();
  const WallTime now = parts_.timeline.now();
  auto original = std::make_shared<MessageMeta>(*part.rows.front().meta);
  auto header = co_await parts_.store.read_header(original->id);
  const bool unreadable =
      !header && (header.error().is(StoreError::damaged) || header.error().is(StoreError::not_found));
  if (!header && !unreadable) co_return header.error();
  const bool damaged = std::any_of(part.rows.begin(), part.rows.end(),
                                   [](const QueueRow& row) { return row.state == RecipientState::damaged; });
  // What cannot be read cannot be returned: the notification would be as undeliverable.
  if (unreadable || damaged) original->dsn_return = DsnReturn::headers;

  OperatorChange& change = part.batch.changes.emplace_back();
  change.what = OperatorChange::What::bounce;
  change.reason = reason;
  DsnRequest request;
  request.kind = DsnKind::failed;
  request.original = original;
  if (header) request.original_header = std::move(*header);
  request.hostname = settings->hostname;
  request.postmaster = settings->postmaster;
  request.now = now;
  request.bounce_expire = settings->queue.bounce_expire;
  for (const auto& row : part.rows) {
    change.recipients.push_back(row.recipient);
    request.recipients.push_back(told(row, reason));
  }
  part.batch.history.push_back(entry_for(part.rows, OperatorChange::What::bounce, reason, now));
  auto notification = build_dsn(request, parts_.random);
  if (!notification) co_return part;
  if (parts_.signer != nullptr) {
    Accept unsigned_one = copy_of(*notification);
    auto signing = sign_notification(parts_.store, *parts_.signer, settings->dkim, std::move(unsigned_one),
                                     original, now);
    auto done = co_await std::move(signing);
    if (done) {
      notification = std::move(*done);
    } else {
      parts_.log.warning("a notification goes out unsigned: " + done.error().text());
    }
  }
  part.batch.accept.push_back(std::move(*notification));
  co_return part;
}

asio::awaitable<Result<void>> OperatorHand::bounce_together(std::vector<Part> parts, std::string reason,
                                                            ChangeCount& count) {
  std::vector<Part> prepared;
  Batch all;
  for (auto& part : parts) {
    const std::size_t asked = part.rows.size();
    auto preparing = prepare(std::move(part.rows), reason);
    auto ready = co_await std::move(preparing);
    if (!ready) co_return ready.error();
    count.active += asked - ready->rows.size();
    if (ready->rows.empty()) continue;
    append(all, copy_of(ready->batch));
    prepared.push_back(std::move(*ready));
  }
  if (prepared.empty()) co_return Result<void>();
  const auto applied = co_await parts_.store.apply(std::move(all));
  if (applied) {
    for (const auto& part : prepared) bounced(part, reason, count);
    co_return Result<void>();
  }
  const bool one_refused =
      applied.error().is(StoreError::rejected) || applied.error().is(StoreError::not_found);
  if (!one_refused) co_return applied.error();
  for (auto& part : prepared) {
    auto bouncing = bounce_alone(std::move(part), reason, count);
    const auto done = co_await std::move(bouncing);
    if (!done) co_return done.error();
  }
  co_return Result<void>();
}

// A delivery came between: what is left of the message is looked at afresh.
asio::awaitable<Result<void>> OperatorHand::bounce_alone(Part part, std::string reason, ChangeCount& count) {
  const std::size_t asked = part.rows.size();
  std::vector<RecipientId> wanted;
  for (const auto& row : part.rows) wanted.push_back(row.recipient);
  const QueueId id = part.rows.front().meta->id;
  for (int tries = 0; tries < kBounceTries; ++tries) {
    Batch batch = copy_of(part.batch);
    const auto applied = co_await parts_.store.apply(std::move(batch));
    if (applied) {
      bounced(part, reason, count);
      co_return Result<void>();
    }
    const bool refused =
        applied.error().is(StoreError::rejected) || applied.error().is(StoreError::not_found);
    if (!refused) co_return applied.error();
    QueueFilter filter;
    filter.id = id;
    filter.limit = wanted.size() * 2 + 1000;
    auto rows = co_await parts_.store.list(filter);
    if (!rows) co_return rows.error();
    std::erase_if(*rows, [&](const QueueRow& row) {
      return std::find(wanted.begin(), wanted.end(), row.recipient) == wanted.end();
    });
    auto preparing = prepare(std::move(*rows), reason);
    auto ready = co_await std::move(preparing);
    if (!ready) co_return ready.error();
    if (ready->rows.empty()) break;
    part = std::move(*ready);
  }
  count.active += asked;
  co_return Result<void>();
}

void OperatorHand::bounced(const Part& part, const std::string& reason, ChangeCount& count) {
  count.changed += part.rows.size();
  for (const auto& row : part.rows) {
    Fields fields;
    fields.add("msg", row.meta->id.text());
    if (!row.meta->user.empty()) fields.add("user", row.meta->user);
    fields.add_address("from", row.meta->reverse_path.empty() ? "" : row.meta->reverse_path.text());
    fields.add_address("to", row.to);
    fields.add("size", row.meta->prefix_size + row.meta->body_size).add("attempt", row.attempts);
    fields.add("enhanced", kStatus).add("reply", reason).add("stage", "operator");
    parts_.log.event("bounced", fields);
    tell_origin(row, RecipientEnd::How::bounced, reason);
  }
}

void OperatorHand::tell_origin(const QueueRow& row, RecipientEnd::How how, const std::string& reason) {
  if (parts_.observer == nullptr) return;
  RecipientEnd end;
  end.id = row.meta->id;
  end.origin = row.meta->origin;
  end.idempotency_key = row.meta->idempotency_key;
  end.recipient = row.to;
  end.how = how;
  end.reason = reason;
  parts_.observer->recipient_ended(end);
}

}  // namespace holdfast
