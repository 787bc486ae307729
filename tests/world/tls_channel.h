// tests/world/tls_channel.h — TLS over a Wire, for the world's servers and its test client.
//
// TLS runs on memory buffers, so that the Wire beneath sees and keeps every encrypted byte.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/world/certificate.h"
#include "tests/world/net.h"

typedef struct ssl_st SSL;
typedef struct ssl_ctx_st SSL_CTX;

namespace holdfast::world {

struct ServerTls {
  Identity identity;
  std::string min_version = "1.2";  // "1.0" to "1.3"
  std::string max_version = "1.3";
  std::string ciphers;            // TLS 1.2 and before; empty = OpenSSL's default
  std::vector<std::string> alpn;  // in order of preference; empty = ALPN is not answered
  // Picks an identity by the SNI name; without it, or when it returns nullptr, `identity` is shown.
  std::function<const Identity*(const std::string& name)> choose;
};

struct ClientTls {
  std::string server_name;  // SNI, and what the certificate must say when `trusted_pem` is set
  std::string trusted_pem;  // empty = nothing is verified
  std::vector<std::string> alpn;
};

class TlsChannel final : public Channel {
 public:
  // The handshake; nullptr when it failed, with the reason in `error`.
  static std::unique_ptr<TlsChannel> accept(Wire& wire, const ServerTls& setup, std::string& error);
  static std::unique_ptr<TlsChannel> connect(Wire& wire, const ClientTls& setup, std::string& error);
  ~TlsChannel() override;

  std::size_t read(char* data, std::size_t size) override;
  bool write(std::string_view data) override;
  void close_notify();

  std::string version() const;  // "TLSv1.3"
  std::string cipher() const;
  std::string server_name() const;  // SNI as the client sent it
  std::string alpn() const;         // "h2", "http/1.1" or ""

 private:
  TlsChannel(Wire& wire, SSL_CTX* context, SSL* ssl);
  bool handshake(std::string& error);
  bool flush();
  bool fill();

  Wire& wire_;
  SSL_CTX* context_;
  SSL* ssl_;
  std::unique_ptr<ServerTls> setup_;  // what the callbacks of a server look at
};

}  // namespace holdfast::world
