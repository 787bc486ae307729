// smtp/base/tcp_listener.h — a listening TCP socket. It accepts one connection per call, so a server that is
// at its limit simply does not call: the next clients wait in the kernel's queue.
#pragma once

#include <memory>

#include "config/network.h"
#include "smtp/base/stream.h"

namespace holdfast {

class TcpListener {
 public:
  // Binds and listens. `bind.host` is an address ("::" takes IPv4 as well). BaseError::io names the address.
  static Result<std::unique_ptr<TcpListener>> open(Executor executor, const HostPort& bind);

  virtual ~TcpListener() = default;
  virtual HostPort address() const = 0;  // with the port that the system picked when `bind.port` was 0
  // The next connection, to live on `worker`. When the process has no descriptor left it waits for one.
  // BaseError::cancelled, or closed after close(). Called on the listener's executor; one call at a time.
  virtual asio::awaitable<Result<std::unique_ptr<Stream>>> accept(Executor worker, Clock& clock) = 0;
  virtual void close() = 0;
};

}  // namespace holdfast
