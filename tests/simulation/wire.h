// tests/simulation/wire.h — lines and octets over a stream, for the world's programs; can break after so many
// octets.
#pragma once

#include <limits>
#include <memory>
#include <optional>
#include <string>

#include "smtp/base/stream.h"
#include "smtp/tls/tls_stream.h"

namespace holdfast::simulation {

class Wire {
 public:
  explicit Wire(std::unique_ptr<Stream> stream) : stream_(std::move(stream)) {}

  // Without its CRLF; nullopt when the connection is over. A bare LF ends no line.
  asio::awaitable<std::optional<std::string>> line();
  asio::awaitable<std::optional<std::string>> octets(std::size_t count);
  // All until `end`, which is included.
  asio::awaitable<std::optional<std::string>> until(std::string end);
  asio::awaitable<bool> send(std::string text);
  // False: no TLS came about, and the connection is over. What came in clear behind STARTTLS is dropped.
  asio::awaitable<bool> accept_tls(std::shared_ptr<const TlsServerContext> context);
  asio::awaitable<bool> connect_tls(std::shared_ptr<const TlsClientContexts> contexts, std::string name);
  bool is_tls() const { return tls_; }
  void close() { stream_->close(); }
  Stream& stream() { return *stream_; }

  // In both directions, as the program sees them (under TLS: inside of it).
  static constexpr std::size_t kNever = std::numeric_limits<std::size_t>::max();
  std::size_t octets_until_cut = kNever;

 private:
  asio::awaitable<bool> more();
  bool spend(std::size_t& count);  // false: the cut comes within `count`, which is shortened to it

  std::unique_ptr<Stream> stream_;
  std::string buffer_;
  bool tls_ = false;
};

}  // namespace holdfast::simulation
