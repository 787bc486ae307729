#include "mta/queued_report_mail.h"

namespace holdfast {

asio::awaitable<Result<std::optional<QueuedMailState>>> QueuedReportMail::find(QueueId id) {
  QueueFilter filter;
  filter.id = id;
  auto rows = co_await store_.list(std::move(filter));
  if (!rows) co_return rows.error();
  if (rows->empty()) co_return std::optional<QueuedMailState>();
  const QueueRow& row = rows->front();  // a report goes to one recipient per mail
  QueuedMailState state;
  state.attempts = row.attempts;
  state.next = row.next_attempt;
  state.reason = row.reason;
  co_return std::optional<QueuedMailState>(std::move(state));
}

}  // namespace holdfast
