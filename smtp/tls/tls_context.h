// smtp/tls/tls_context.h — OpenSSL contexts, made once and shared read-only by all connections of a kind.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "smtp/base/result.h"
#include "smtp/tls/requirement.h"

typedef struct ssl_ctx_st SSL_CTX;

namespace holdfast {

struct SslContextDeleter {
  void operator()(SSL_CTX* context) const;
};
using SslContext = std::unique_ptr<SSL_CTX, SslContextDeleter>;

// What clients of ours (deliveries, policy fetches, report posts) verify against. Thread-safe after creation.
class TlsClientContexts {
 public:
  // `ca_file` empty: the system's roots. An unreadable or empty file is an Error naming it.
  static Result<std::shared_ptr<const TlsClientContexts>> create(const std::filesystem::path& ca_file);

  // Unauthenticated sessions run at security level 0, so that a weak peer gets weak TLS rather than none.
  SSL_CTX* opportunistic() const { return opportunistic_.get(); }
  // TLS 1.2 or later, security level 2: whatever is verified.
  SSL_CTX* verified() const { return verified_.get(); }

 private:
  TlsClientContexts() = default;
  SslContext opportunistic_;
  SslContext verified_;
};

// The certificate that we show to clients. No renegotiation, no tickets, no resumption.
class TlsServerContext {
 public:
  static Result<std::shared_ptr<const TlsServerContext>> create(const std::filesystem::path& certificate,
                                                                const std::filesystem::path& private_key,
                                                                TlsVersion min_version);
  // From PEM text; also used for the self-signed fallback.
  static Result<std::shared_ptr<const TlsServerContext>> from_pem(const std::string& certificate,
                                                                  const std::string& private_key,
                                                                  TlsVersion min_version);
  SSL_CTX* get() const { return context_.get(); }
  WallTime not_after() const { return not_after_; }

 private:
  TlsServerContext() = default;
  SslContext context_;
  WallTime not_after_{};
};

struct SelfSigned {
  std::string certificate_pem, private_key_pem;
};
// ECDSA P-256, valid for ten years, SAN = hostname.
Result<SelfSigned> make_self_signed(const std::string& hostname, WallTime now);

}  // namespace holdfast
