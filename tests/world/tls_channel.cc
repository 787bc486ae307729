#include "tests/world/tls_channel.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <map>
#include <stdexcept>

namespace holdfast::world {
namespace {

std::string last_error() {
  const unsigned long code = ERR_get_error();
  if (code == 0) return "the peer closed the connection";
  char text[256];
  ERR_error_string_n(code, text, sizeof text);
  return text;
}

int version_number(const std::string& name) {
  static const std::map<std::string, int> known = {
      {"1.0", TLS1_VERSION}, {"1.1", TLS1_1_VERSION}, {"1.2", TLS1_2_VERSION}, {"1.3", TLS1_3_VERSION}};
  return known.at(name);
}

std::string wire_form(const std::vector<std::string>& protocols) {
  std::string wire;
  for (const auto& name : protocols) {
    wire += static_cast<char>(name.size());
    wire += name;
  }
  return wire;
}

bool show(SSL* ssl, const Identity& identity) {
  BIO* certificates = BIO_new_mem_buf(identity.chain_pem.data(), static_cast<int>(identity.chain_pem.size()));
  BIO* key_text = BIO_new_mem_buf(identity.key_pem.data(), static_cast<int>(identity.key_pem.size()));
  EVP_PKEY* key = PEM_read_bio_PrivateKey(key_text, nullptr, nullptr, nullptr);
  bool first = true, ok = key != nullptr;
  while (ok) {
    X509* certificate = PEM_read_bio_X509(certificates, nullptr, nullptr, nullptr);
    if (certificate == nullptr) break;
    ok = first ? SSL_use_certificate(ssl, certificate) == 1 : SSL_add1_chain_cert(ssl, certificate) == 1;
    first = false;
    X509_free(certificate);
  }
  ERR_clear_error();  // the end of the PEM text is reported as an error
  ok = ok && !first && SSL_use_PrivateKey(ssl, key) == 1;
  EVP_PKEY_free(key);
  BIO_free(certificates);
  BIO_free(key_text);
  return ok;
}

int on_server_name(SSL* ssl, int*, void* argument) {
  const auto* setup = static_cast<const ServerTls*>(argument);
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (name != nullptr && setup->choose) {
    const Identity* identity = setup->choose(name);
    if (identity != nullptr && !show(ssl, *identity)) return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  return SSL_TLSEXT_ERR_OK;
}

int on_alpn(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
            unsigned in_size, void* argument) {
  const auto* setup = static_cast<const ServerTls*>(argument);
  for (const auto& wanted : setup->alpn) {
    for (unsigned at = 0; at < in_size && at + 1 + in[at] <= in_size; at += 1u + in[at]) {
      if (wanted == std::string_view(reinterpret_cast<const char*>(in + at + 1), in[at])) {
        *out = in + at + 1;
        *out_size = in[at];
        return SSL_TLSEXT_ERR_OK;
      }
    }
  }
  return SSL_TLSEXT_ERR_NOACK;
}

}  // namespace

TlsChannel::TlsChannel(Wire& wire, SSL_CTX* context, SSL* ssl) : wire_(wire), context_(context), ssl_(ssl) {
  SSL_set_bio(ssl_, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
}

TlsChannel::~TlsChannel() {
  SSL_free(ssl_);
  SSL_CTX_free(context_);
}

std::unique_ptr<TlsChannel> TlsChannel::accept(Wire& wire, const ServerTls& setup, std::string& error) {
  auto kept = std::make_unique<ServerTls>(setup);
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  SSL_CTX_set_min_proto_version(context, version_number(setup.min_version));
  SSL_CTX_set_max_proto_version(context, version_number(setup.max_version));
  if (version_number(setup.max_version) < TLS1_2_VERSION) SSL_CTX_set_security_level(context, 0);
  if (!setup.ciphers.empty() && SSL_CTX_set_cipher_list(context, setup.ciphers.c_str()) != 1) {
    throw std::invalid_argument("no such ciphers: " + setup.ciphers);
  }
  SSL_CTX_set_tlsext_servername_callback(context, on_server_name);
  SSL_CTX_set_tlsext_servername_arg(context, kept.get());
  if (!setup.alpn.empty()) SSL_CTX_set_alpn_select_cb(context, on_alpn, kept.get());
  std::unique_ptr<TlsChannel> channel(new TlsChannel(wire, context, SSL_new(context)));
  channel->setup_ = std::move(kept);
  if (!show(channel->ssl_, setup.identity)) throw std::invalid_argument("the identity is not usable");
  SSL_set_accept_state(channel->ssl_);
  if (!channel->handshake(error)) return nullptr;
  return channel;
}

std::unique_ptr<TlsChannel> TlsChannel::connect(Wire& wire, const ClientTls& setup, std::string& error) {
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  SSL* ssl = SSL_new(context);
  std::unique_ptr<TlsChannel> channel(new TlsChannel(wire, context, ssl));
  if (!setup.server_name.empty()) SSL_set_tlsext_host_name(ssl, setup.server_name.c_str());
  if (!setup.trusted_pem.empty()) {
    BIO* text = BIO_new_mem_buf(setup.trusted_pem.data(), static_cast<int>(setup.trusted_pem.size()));
    X509* root = PEM_read_bio_X509(text, nullptr, nullptr, nullptr);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context), root);
    X509_free(root);
    BIO_free(text);
    SSL_set1_host(ssl, setup.server_name.c_str());
    SSL_set_verify(ssl, SSL_VERIFY_PEER, nullptr);
  }
  if (!setup.alpn.empty()) {
    const std::string wire_names = wire_form(setup.alpn);
    SSL_set_alpn_protos(ssl, reinterpret_cast<const unsigned char*>(wire_names.data()),
                        static_cast<unsigned>(wire_names.size()));
  }
  SSL_set_connect_state(ssl);
  if (!channel->handshake(error)) return nullptr;
  return channel;
}

bool TlsChannel::flush() {
  char buffer[16384];
  for (int n = 0; (n = BIO_read(SSL_get_wbio(ssl_), buffer, sizeof buffer)) > 0;) {
    if (!wire_.write({buffer, static_cast<std::size_t>(n)})) return false;
  }
  return true;
}

bool TlsChannel::fill() {
  char buffer[16384];
  const std::size_t n = wire_.read(buffer, sizeof buffer);
  if (n == 0) return false;
  return BIO_write(SSL_get_rbio(ssl_), buffer, static_cast<int>(n)) == static_cast<int>(n);
}

bool TlsChannel::handshake(std::string& error) {
  ERR_clear_error();
  for (;;) {
    const int result = SSL_do_handshake(ssl_);
    const int what = result == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl_, result);
    if (what != SSL_ERROR_NONE && what != SSL_ERROR_WANT_READ) error = last_error();
    const bool sent = flush();  // also the alert of a failed handshake
    if (what == SSL_ERROR_NONE && sent) return true;
    if (what == SSL_ERROR_WANT_READ && sent && fill()) continue;
    if (error.empty()) error = last_error();
    return false;
  }
}

std::size_t TlsChannel::read(char* data, std::size_t size) {
  for (;;) {
    ERR_clear_error();
    const int n = SSL_read(ssl_, data, static_cast<int>(size));
    if (!flush()) return 0;
    if (n > 0) return static_cast<std::size_t>(n);
    if (SSL_get_error(ssl_, n) != SSL_ERROR_WANT_READ || !fill()) return 0;
  }
}

bool TlsChannel::write(std::string_view data) {
  while (!data.empty()) {
    ERR_clear_error();
    const int n = SSL_write(ssl_, data.data(), static_cast<int>(std::min<std::size_t>(data.size(), 16384)));
    if (n <= 0 || !flush()) return false;
    data.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

void TlsChannel::close_notify() {
  SSL_shutdown(ssl_);
  flush();
}

std::string TlsChannel::version() const { return SSL_get_version(ssl_); }
std::string TlsChannel::cipher() const { return SSL_get_cipher_name(ssl_); }

std::string TlsChannel::server_name() const {
  const char* name = SSL_get_servername(ssl_, TLSEXT_NAMETYPE_host_name);
  return name == nullptr ? "" : name;
}

std::string TlsChannel::alpn() const {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_, &name, &size);
  return {reinterpret_cast<const char*>(name), size};
}

}  // namespace holdfast::world
