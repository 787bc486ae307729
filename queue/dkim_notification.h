// queue/dkim_notification.h — signs a notification (queue/dsn.h) before it is accepted.
//
// A notification's body is the rest of its prefix, the shared body of the original, and its suffix: the
// original is read once, to be hashed.
#pragma once

#include "queue/dkim_signer.h"
#include "queue/store.h"

namespace holdfast {

// Gives the notification back, signed for the domain of its From when dkim.sign asks for it and there is a
// key, as it was otherwise. `original` is the message that it tells of. Errors: the key, or the original
// cannot be read; the caller may send the notification unsigned then, since the sender must know.
asio::awaitable<Result<Accept>> sign_notification(Store& store, MessageSigner& signer, DkimSettings settings,
                                                  Accept notification,
                                                  std::shared_ptr<const MessageMeta> original, WallTime now);

}  // namespace holdfast
