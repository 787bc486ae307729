#include "smtp/tls/tls_context.h"

#include <openssl/err.h>

#include "smtp/base/base_error.h"
#include "smtp/tls/common_rules.h"
#include "smtp/tls/openssl.h"
#include "smtp/tls/verify.h"

namespace holdfast {
namespace {

// A Certificate message larger than this is refused before it is parsed.
constexpr long kMaxCertificateMessage = 64L * 1024;
constexpr const char* kCiphersuites =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

Error context_error(const std::string& what) {
  return Error(BaseError::io, what + ": " + take_openssl_error());
}

// Unauthenticated: a weak peer gets weak TLS rather than none. The version floor stays the system's.
bool allow_weak_peers(SSL_CTX* context) {
  SSL_CTX_set_security_level(context, 0);
  SSL_CTX_set_options(context, SSL_OP_LEGACY_SERVER_CONNECT);
  return true;
}

bool demand_strong_peers(SSL_CTX* context) {
  SSL_CTX_set_security_level(context, kVerifySecurityLevel);
  return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 && SSL_CTX_dane_enable(context) == 1;
}

}  // namespace

void SslContextDeleter::operator()(SSL_CTX* context) const { SSL_CTX_free(context); }

void apply_common_rules(SSL_CTX* context) {
  // A resumed session carries the verdict of an earlier handshake, perhaps for another host: never resume.
  // No renegotiation either: what was verified stays what is talked to.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  // An end without close_notify is a truncation.
  SSL_CTX_clear_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
  // Thousands of connections are idle at any time: they give their record buffers back.
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  // Without it a read would ask for more input behind every session ticket, though what came along with the
  // ticket is still to be read: the wait would never end.
  SSL_CTX_set_mode(context, SSL_MODE_AUTO_RETRY);
  SSL_CTX_set_max_cert_list(context, kMaxCertificateMessage);
  // OpenSSL's own order has 256 bits first. 128 are beyond reach too: four rounds of AES fewer for each
  // block, and SHA-256 instead of SHA-384 in every handshake. A peer that insists on more gets it.
  SSL_CTX_set_ciphersuites(context, kCiphersuites);
}

Result<std::shared_ptr<const TlsClientContexts>> TlsClientContexts::create(
    const std::filesystem::path& ca_file) {
  ERR_clear_error();
  std::shared_ptr<TlsClientContexts> made(new TlsClientContexts);
  made->opportunistic_.reset(SSL_CTX_new(TLS_client_method()));
  made->verified_.reset(SSL_CTX_new(TLS_client_method()));
  if (!made->opportunistic_ || !made->verified_) return context_error("cannot make a TLS context");

  for (SSL_CTX* context : {made->opportunistic(), made->verified()}) {
    apply_common_rules(context);
    install_peer_verification(context);
  }
  if (!allow_weak_peers(made->opportunistic()) || !demand_strong_peers(made->verified())) {
    return context_error("cannot set the rules of a TLS context");
  }
  // The trust anchors live in verified(); verify.cc takes them from there for watched connections too.
  if (ca_file.empty()) {
    if (SSL_CTX_set_default_verify_paths(made->verified()) != 1)
      return context_error("the system's trust anchors");
    return std::shared_ptr<const TlsClientContexts>(std::move(made));
  }
  if (SSL_CTX_load_verify_file(made->verified(), ca_file.c_str()) != 1)
    return context_error(ca_file.string());
  if (sk_X509_OBJECT_num(X509_STORE_get0_objects(SSL_CTX_get_cert_store(made->verified()))) == 0) {
    return Error(BaseError::io, ca_file.string() + ": holds no certificate");
  }
  return std::shared_ptr<const TlsClientContexts>(std::move(made));
}

}  // namespace holdfast
