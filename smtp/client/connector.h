// smtp/client/connector.h — opens TCP connections; the one place that decides whether an address may be
// reached.
#pragma once

#include <memory>
#include <optional>

#include "smtp/base/stream.h"

namespace holdfast {

struct ConnectTarget {
  IpBytes ip{};
  std::uint16_t port = 0;
  // Who named the address. The network's word (MX, policy host, report target) reaches only global addresses
  // and `egress.allow`; the operator's word (resolver, route) reaches any. Invariant 38.
  bool operators_word = false;
  std::optional<IpBytes> source;  // bind to this address
};

class Connector {
 public:
  virtual ~Connector() = default;
  // Errors: BaseError::not_permitted (checked on the very address connected to), unreachable, timed_out.
  virtual asio::awaitable<Result<std::unique_ptr<Stream>>> connect(ConnectTarget target, Duration limit) = 0;
};

}  // namespace holdfast
