// tlsrpt/queued_mail.h — asks the mail queue what became of a report's mail: for `tlsrpt status`, and for the
// end of a mail that a crash kept from being told.
#pragma once

#include <optional>
#include <string>

#include "smtp/base/asio.h"
#include "smtp/base/clock.h"
#include "smtp/base/queue_id.h"
#include "smtp/base/result.h"
#include "smtp/message_sink.h"

namespace holdfast {

struct QueuedMailState {
  unsigned attempts = 0;
  WallTime next{};     // when it is tried again
  std::string reason;  // what the receiver said the last time; "" before the first attempt
  std::optional<RecipientEnd::How> ended;  // the queue holds it no more
};

class QueuedMail {
 public:
  virtual ~QueuedMail() = default;
  // nullopt: the queue neither holds such a mail nor remembers one. On any executor.
  virtual asio::awaitable<Result<std::optional<QueuedMailState>>> find(QueueId id) = 0;
};

}  // namespace holdfast
