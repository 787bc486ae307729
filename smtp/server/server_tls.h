// smtp/server/server_tls.h — the certificate that we show to clients right now.
#pragma once

#include <memory>

#include "smtp/tls/tls_context.h"

namespace holdfast {

class ServerTls {
 public:
  virtual ~ServerTls() = default;
  // Taken at each handshake, so that a new certificate is used without dropping a connection; nullptr when
  // there is none. Thread-safe.
  virtual std::shared_ptr<const TlsServerContext> current() const = 0;
};

}  // namespace holdfast
