#include "queue/delivery_sign.h"

#include "queue/dkim_notification.h"

namespace holdfast {

asio::awaitable<DeliveryRecord> sign_notifications(const DeliveryContext& context, DeliveryRecord record,
                                                   std::shared_ptr<const MessageMeta> original,
                                                   SettingsPtr settings, WallTime now) {
  if (!context.signer || settings->dkim.sign == DkimSigning::off) co_return record;
  for (Accept& accept : record.batch.accept) {
    Accept unsigned_one = copy_of(accept);
    auto done = co_await sign_notification(context.store, *context.signer, settings->dkim,
                                           std::move(unsigned_one), original, now);
    if (done) {
      accept = std::move(*done);
    } else {
      context.log.warning("a notification goes out unsigned: " + done.error().text());
    }
  }
  co_return record;
}

}  // namespace holdfast
