// tests/world/https_server.h — policy hosts (and any other HTTPS site) on one port, told apart by SNI.
//
// Speaks HTTP/2 and HTTP/1.1 as ALPN says. What a host answers, and how it misbehaves, may change at any
// time.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "tests/world/certificate.h"
#include "tests/world/net.h"
#include "tests/world/tls_channel.h"

namespace holdfast::world {

enum class HttpFault {
  none,
  drop,      // the connection ends without an answer
  hang,      // no answer ever comes
  truncate,  // half of the body, then the connection ends
  drip,      // one byte of the body each `drip_interval`
};

struct HttpReply {
  int status = 200;
  std::string content_type = "text/plain";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  bool chunked = false;  // HTTP/1.1: Transfer-Encoding instead of Content-Length
  HttpFault fault = HttpFault::none;
  Milliseconds drip_interval{200};
};

struct HttpRequest {
  std::string host;      // SNI
  std::string protocol;  // "h2" or "http/1.1"
  std::string method, path, authority;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;
};

class HttpsServer {
 public:
  explicit HttpsServer(const Authority& authority);
  ~HttpsServer();
  Endpoint endpoint() const { return listener_->endpoint(); }

  // The host answers every path with this. Its first use gives it a sound certificate for its name.
  void serve(const std::string& host, HttpReply reply);
  void set_identity(const std::string& host, Identity identity);
  void set_alpn(std::vector<std::string> protocols);  // {"h2", "http/1.1"} at first
  void set_tls(const std::string& min_version, const std::string& max_version);

  std::vector<HttpRequest> requests(const std::string& host) const;
  std::size_t request_count(const std::string& host) const { return requests(host).size(); }
  std::size_t failed_handshakes() const;

  // For the HTTP/2 half of the server: notes the request and says what to answer.
  HttpReply reply_to(HttpRequest request);

 private:
  struct Host {
    std::shared_ptr<const Identity> identity;
    HttpReply reply;
  };
  void serve_connection(Wire& wire);
  void serve_http1(Wire& wire, TlsChannel& tls);
  Host& host(const std::string& name);

  const Authority& authority_;
  mutable std::mutex mutex_;
  std::map<std::string, Host> hosts_;
  std::vector<std::string> alpn_ = {"h2", "http/1.1"};
  std::string min_version_ = "1.2", max_version_ = "1.3";
  std::vector<HttpRequest> requests_;
  std::size_t failed_handshakes_ = 0;
  Identity stranger_;  // shown for names that nobody serves
  std::unique_ptr<Listener> listener_;
};

// https2.cc: one HTTP/2 connection, by nghttp2.
void serve_http2(HttpsServer& server, Wire& wire, TlsChannel& tls);

}  // namespace holdfast::world
