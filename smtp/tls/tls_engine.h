// smtp/tls/tls_engine.h — one TLS connection without I/O: ciphertext in, ciphertext out.
//
// The owner asks for an operation; `want_input` means that it must send output(), read from the network into
// input_space() and ask again. Buffers are small while a connection is idle: they grow under load and go
// back.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "smtp/tls/requirement.h"

typedef struct ssl_st SSL;

namespace holdfast {

struct SslDeleter {
  void operator()(SSL* ssl) const;
};
using SslHandle = std::unique_ptr<SSL, SslDeleter>;

class TlsEngine {
 public:
  enum class Step { done, want_input, closed, failed };

  // `ssl` is in connect or accept state. A null one (memory) throws std::bad_alloc.
  explicit TlsEngine(SslHandle ssl);
  TlsEngine(const TlsEngine&) = delete;
  TlsEngine& operator=(const TlsEngine&) = delete;

  Step handshake();
  // done: `count` octets are in `buffer`, of as many records as came. closed: the peer's close_notify came.
  Step read(std::span<char> buffer, std::size_t& count);
  // Encrypts all of `data` into output(); never wants input.
  Step write(std::string_view data);
  void close_notify();

  // Why a step failed. Alerts are named.
  const TlsFailure& failure() const { return failure_; }

  // Ciphertext to be sent; the owner calls sent() once it is on its way, and shrink() when no more follows.
  std::string_view output() const { return output_; }
  void sent() { output_.clear(); }
  void shrink();

  // Where to read from the network, for an owner that wants about `wanted` octets: large while much comes,
  // small while a connection waits for a command.
  std::span<char> input_space(std::size_t wanted);
  void input_filled(std::size_t count);

  SSL* ssl() const { return ssl_.get(); }

 private:
  friend struct EngineBio;
  Step outcome(int result);
  std::size_t next_input_size(std::size_t wanted) const;

  std::string output_;
  std::unique_ptr<char[]> input_;
  std::size_t input_size_;
  std::size_t input_begin_ = 0, input_end_ = 0;
  std::optional<Step> behind_;  // what came behind the octets that the last read gave
  TlsFailure failure_;
  SslHandle ssl_;
};

}  // namespace holdfast
