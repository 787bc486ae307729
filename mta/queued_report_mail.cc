#include "mta/queued_report_mail.h"

namespace holdfast {

namespace {

std::optional<RecipientEnd::How> how_it_ended(RecipientState state) {
  switch (state) {
    case RecipientState::delivered: return RecipientEnd::How::delivered;
    case RecipientState::bounced:
    case RecipientState::expired: return RecipientEnd::How::bounced;
    case RecipientState::removed: return RecipientEnd::How::removed;
    default: return std::nullopt;
  }
}

}  // namespace

asio::awaitable<Result<std::optional<QueuedMailState>>> QueuedReportMail::find(QueueId id) {
  QueueFilter filter;
  filter.id = id;
  filter.remembered = true;
  auto rows = co_await store_.list(std::move(filter));
  if (!rows) co_return rows.error();
  if (rows->empty()) co_return std::optional<QueuedMailState>();
  const QueueRow& row = rows->front();  // a report goes to one recipient per mail
  QueuedMailState state;
  state.attempts = row.attempts;
  state.next = row.next_attempt;
  state.reason = row.reason;
  state.ended = how_it_ended(row.state);
  co_return std::optional<QueuedMailState>(std::move(state));
}

}  // namespace holdfast
