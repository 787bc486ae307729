// The certificate that we show to clients.
#include <openssl/err.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "config/secret.h"
#include "smtp/base/base_error.h"
#include "smtp/tls/certificate.h"
#include "smtp/tls/common_rules.h"
#include "smtp/tls/openssl.h"
#include "smtp/tls/tls_context.h"

namespace holdfast {
namespace {

constexpr std::size_t kMaxKeyFile = 256 * 1024;  // with the chain that some keep in the same file

Result<std::string> read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (file) text << file.rdbuf();
  if (!file || !text) return Error(BaseError::io, path.string() + ": cannot be read");
  return std::move(text).str();
}

BioPtr reader(const std::string& pem) {
  return BioPtr(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

// An encrypted key must fail, not ask on the terminal.
int no_password(char*, int, int, void*) { return 0; }

// The leaf, then whatever else the PEM text holds, as the chain to send.
Result<X509Ptr> use_certificates(SSL_CTX* context, const std::string& pem) {
  const BioPtr bio = reader(pem);
  X509Ptr leaf(bio ? PEM_read_bio_X509(bio.get(), nullptr, no_password, nullptr) : nullptr);
  if (!leaf || SSL_CTX_use_certificate(context, leaf.get()) != 1) {
    return Error(BaseError::malformed, "certificate: " + take_openssl_error());
  }
  while (X509Ptr next{PEM_read_bio_X509(bio.get(), nullptr, no_password, nullptr)}) {
    if (SSL_CTX_add1_chain_cert(context, next.get()) != 1) {
      return Error(BaseError::malformed, "certificate chain: " + take_openssl_error());
    }
  }
  // The end of the text shows as "no start line"; anything else is damage.
  const unsigned long end = ERR_peek_last_error();
  if (ERR_GET_LIB(end) != ERR_LIB_PEM || ERR_GET_REASON(end) != PEM_R_NO_START_LINE) {
    return Error(BaseError::malformed, "certificate chain: " + take_openssl_error());
  }
  ERR_clear_error();
  return leaf;
}

Result<void> use_key(SSL_CTX* context, const std::string& pem) {
  const BioPtr bio = reader(pem);
  const PkeyPtr key(bio ? PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr) : nullptr);
  if (!key) return Error(BaseError::malformed, "private key: " + take_openssl_error());
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1 || SSL_CTX_check_private_key(context) != 1) {
    return Error(BaseError::malformed,
                 "the private key does not fit the certificate: " + take_openssl_error());
  }
  return {};
}

}  // namespace

Result<std::shared_ptr<const TlsServerContext>> TlsServerContext::from_pem(const std::string& certificate,
                                                                           const std::string& private_key,
                                                                           TlsVersion min_version) {
  ERR_clear_error();
  std::shared_ptr<TlsServerContext> made(new TlsServerContext);
  made->context_.reset(SSL_CTX_new(TLS_server_method()));
  SSL_CTX* context = made->get();
  if (context == nullptr) return Error(BaseError::io, "cannot make a TLS context: " + take_openssl_error());

  apply_common_rules(context);
  SSL_CTX_set_num_tickets(context, 0);
  // A password must not stay in the buffer of the last record.
  SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_CLEANSE_PLAINTEXT);
  SSL_CTX_set_dh_auto(context, 1);
  const int least = min_version == TlsVersion::none ? TLS1_2_VERSION : static_cast<int>(min_version);
  if (SSL_CTX_set_min_proto_version(context, least) != 1) {
    return Error(BaseError::malformed, std::string("minimum TLS version ") + name(min_version));
  }
  auto leaf = use_certificates(context, certificate);
  if (!leaf) return leaf.error();
  if (auto key = use_key(context, private_key); !key) return key.error();
  made->not_after_ = to_wall(X509_get0_notAfter(leaf->get()));
  return std::shared_ptr<const TlsServerContext>(std::move(made));
}

Result<std::shared_ptr<const TlsServerContext>> TlsServerContext::create(
    const std::filesystem::path& certificate, const std::filesystem::path& private_key,
    TlsVersion min_version) {
  auto certificate_pem = read_file(certificate);
  if (!certificate_pem) return certificate_pem.error();
  const auto key_file = read_secret_file(private_key, kMaxKeyFile);
  if (!key_file) return Error(BaseError::io, private_key.string() + ": " + std::strerror(errno));
  std::string key_pem = heap_text(key_file->text());
  const WipeAtEnd wiped(key_pem);
  auto made = from_pem(*certificate_pem, key_pem, min_version);
  if (!made)
    return Error(made.error().code,
                 certificate.string() + ", " + private_key.string() + ": " + made.error().detail);
  return made;
}

}  // namespace holdfast
