// smtp/tls/tls_stream.h — TLS over any Stream, client and server side, by OpenSSL with memory BIOs.
//
// Client procedure: set SNI, version floor and verification from the requirement; handshake (never resumed);
// gather evidence for what the requirement asks and watches. A failure of what is *required* ends the
// connection; a failure of what is watched is only written into the evidence.
#pragma once

#include <memory>
#include <span>

#include "smtp/base/stream.h"
#include "smtp/tls/requirement.h"
#include "smtp/tls/tls_context.h"

namespace holdfast {

class TlsStream : public Stream {
 public:
  // After a completed handshake.
  virtual const TlsEvidence& evidence() const = 0;
  virtual std::string alpn() const = 0;  // "" when none was negotiated
  // Tells the peer that nothing more comes (close_notify), as far as the deadline allows. Nothing may be
  // written afterwards; the caller then closes. Failure is of no interest: the conversation is over.
  virtual asio::awaitable<void> say_goodbye() = 0;
};

struct TlsClientOptions {
  TlsRequirement requirement;
  std::vector<std::string> alpn;  // in order of preference
};

// Success: the stream. Failure: what failed; `next` is closed then. A stream that ends without close_notify
// is TlsError::connection_lost, never BaseError::closed.
struct TlsHandshake {
  std::unique_ptr<TlsStream> stream;
  TlsFailure failure;
  // Only on failure: what was seen until then, with pkix_failure and dane_failure each on its own, so that
  // each policy can be told its part. It satisfies nothing.
  TlsEvidence evidence;
};

// The deadline of `next` bounds the handshake. `contexts` and the options are kept as long as needed.
asio::awaitable<TlsHandshake> tls_connect(std::unique_ptr<Stream> next,
                                          std::shared_ptr<const TlsClientContexts> contexts,
                                          TlsClientOptions options);

asio::awaitable<TlsHandshake> tls_accept(std::unique_ptr<Stream> next,
                                         std::shared_ptr<const TlsServerContext> context);

}  // namespace holdfast
