// mta/queued_report_mail.h — how a report's mail stands in the queue, for `tlsrpt status`.
#pragma once

#include "queue/store.h"
#include "tlsrpt/queued_mail.h"

namespace holdfast {

class QueuedReportMail final : public QueuedMail {
 public:
  explicit QueuedReportMail(Store& store) : store_(store) {}  // which outlives it
  asio::awaitable<Result<std::optional<QueuedMailState>>> find(QueueId id) override;

 private:
  Store& store_;
};

}  // namespace holdfast
