// tlsrpt/queued_mail.h — asks the mail queue why a report's mail has not left it yet: for `tlsrpt status`.
#pragma once

#include <optional>
#include <string>

#include "smtp/base/asio.h"
#include "smtp/base/clock.h"
#include "smtp/base/queue_id.h"
#include "smtp/base/result.h"

namespace holdfast {

struct QueuedMailState {
  unsigned attempts = 0;
  WallTime next{};     // when it is tried again
  std::string reason;  // what the receiver said the last time; "" before the first attempt
};

class QueuedMail {
 public:
  virtual ~QueuedMail() = default;
  // nullopt: the queue holds no such mail any more. On any executor.
  virtual asio::awaitable<Result<std::optional<QueuedMailState>>> find(QueueId id) = 0;
};

}  // namespace holdfast
