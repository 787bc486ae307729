// smtp/base/stream.h — a byte stream to a peer: a socket, TLS over one, or a script in a test.
//
// A stream belongs to one coroutine on one executor. A deadline holds for all that the stream does: set it
// at the start of each phase (RFC 5321 section 4.5.3.2); once it passes, the pending and every later
// operation fails with BaseError::timed_out. One timer per stream serves all deadlines, so moving a deadline
// costs nothing.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "config/network.h"
#include "smtp/base/asio.h"
#include "smtp/base/clock.h"
#include "smtp/base/result.h"

namespace holdfast {

bool is_v4(const IpBytes& ip);
std::string ip_text(const IpBytes& ip);  // "192.0.2.1" or "2001:db8::1"

struct Peer {
  IpBytes ip{};
  std::uint16_t port = 0;
  std::string text() const;     // as ip_text, for logs and Received
  std::string literal() const;  // "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC 5321 section 4.1.3)
};

class Stream {
 public:
  virtual ~Stream() = default;

  // Reads at least one byte into `buffer` (not empty) and returns how many. An orderly end of the stream is
  // BaseError::closed, anything else BaseError::reset or a TLS error: neither is ever a short success.
  virtual asio::awaitable<Result<std::size_t>> read_some(std::span<char> buffer) = 0;

  // Writes all of `data`, which stays valid until the call completes.
  virtual asio::awaitable<Result<void>> write(std::string_view data) = 0;

  virtual void set_deadline(SteadyTime at) = 0;

  // Ends the connection at once; pending operations fail with BaseError::closed. Idempotent.
  virtual void close() = 0;

  virtual Peer local() const = 0;
  virtual Peer remote() const = 0;
};

}  // namespace holdfast
