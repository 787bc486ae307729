// queue/delivery_sign.h — signs the notifications of a record before it goes to the store.
#pragma once

#include "queue/delivery_context.h"
#include "queue/delivery_record.h"

namespace holdfast {

// The record with its notifications signed, where `dkim.sign` asks for it and there is a key. What cannot be
// signed goes out unsigned, with a warning in the log: the sender must know.
asio::awaitable<DeliveryRecord> sign_notifications(const DeliveryContext& context, DeliveryRecord record,
                                                   std::shared_ptr<const MessageMeta> original,
                                                   SettingsPtr settings, WallTime now);

}  // namespace holdfast
