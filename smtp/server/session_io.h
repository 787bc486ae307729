// smtp/server/session_io.h — lines in, replies out, over one stream.
//
// Replies are kept back until no complete command is left in the input, so that a pipelined batch is answered
// with one write (RFC 2920 section 3.2). Waiting for a command can be interrupted from outside, waiting for
// content cannot: a message under way is brought to its end.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>

#include "smtp/base/stream.h"
#include "smtp/server/interruptible.h"
#include "smtp/tls/tls_stream.h"
#include "smtp/wire/line_buffer.h"
#include "smtp/wire/reply.h"

namespace holdfast {

class SessionIo {
 public:
  explicit SessionIo(std::unique_ptr<Stream> stream);

  Stream& stream() { return *stream_; }
  const TlsEvidence* tls() const { return tls_ == nullptr ? nullptr : &tls_->evidence(); }

  void say(const Reply& reply);
  asio::awaitable<Result<void>> flush();

  // The next line. Errors: WireError for a bad line, behind which the conversation can go on;
  // BaseError::cancelled after interrupt(), and the stream can still be written; anything else: the
  // conversation is over.
  asio::awaitable<Result<std::string>> line();

  // Wipes what line() gave out: it held a credential.
  void forget();

  // Content. `rest` is what came already; read() gives more and may be asked only when rest() is empty; what
  // was read too much goes back by unread().
  std::string_view rest() const { return lines_.rest(); }
  void drop(std::size_t count) { lines_.drop(count); }
  asio::awaitable<Result<std::size_t>> read(std::span<char> buffer);
  void unread(std::string_view octets) { lines_.append(octets); }

  // Throws away all input that came in clear (RFC 3207 section 4.2) and secures the stream. On failure the
  // connection is closed.
  asio::awaitable<TlsFailure> accept_tls(std::shared_ptr<const TlsServerContext> context);

  // Ends the connection at once.
  void close();

  void interrupt();
  bool interrupted() const { return interrupted_; }
  bool is_waiting() const { return waiting_.running(); }  // for the client to say something

  // Sends what is left, says goodbye in TLS, closes.
  asio::awaitable<void> finish();

 private:
  asio::awaitable<Result<std::size_t>> read_interruptibly();
  asio::awaitable<void> read_once();

  std::unique_ptr<Stream> stream_;
  TlsStream* tls_ = nullptr;  // stream_ once it is secured
  LineBuffer lines_;
  std::string out_;
  std::array<char, 4096> buffer_;
  std::optional<Result<std::size_t>> read_result_;
  Interruptible waiting_;
  bool interrupted_ = false;
};

}  // namespace holdfast
