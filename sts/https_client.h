// sts/https_client.h — one HTTPS request: a policy is fetched, a report is posted.
//
// Procedure: resolve the host (A and AAAA), try each address, until one has taken the request; TLS 1.2 or
// later, the certificate verified for the host name, ALPN h2 and http/1.1; one request; the whole response.
// For connection and handshake an address has its share of the time that is left, so that one that stalls
// leaves some to those after it. A redirect is a response like any other and is never followed; a content
// encoding is an error; nothing is cached or kept open. One deadline holds for all of it, and a slow drip
// cannot extend it.
//
// Errors: StsError::dns_failed, not_permitted, connect_failed, tls_failed, http_protocol, too_large,
// timed_out; BaseError::cancelled when the caller was stopped.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "config/network.h"
#include "smtp/base/asio.h"
#include "smtp/base/clock.h"
#include "smtp/base/domain_name.h"
#include "smtp/base/result.h"
#include "smtp/client/connector.h"
#include "smtp/dns/resolver.h"
#include "smtp/tls/tls_context.h"
#include "sts/sts_error.h"

namespace holdfast {

struct HttpsUrl {
  DomainName host;  // a name: address literals cannot be verified and are refused
  std::uint16_t port = 443;
  std::string path = "/";  // with its query; begins with "/", no fragment

  // "https://host[:port][/path]"; userinfo, address literals and other schemes are BaseError::malformed.
  // `default_port` stands in where the URL names none.
  static Result<HttpsUrl> parse(std::string_view text, std::uint16_t default_port = 443);
  std::string authority() const;  // Host header; the port where it is not 443
  std::string text() const;
};

struct HttpRequest {
  HttpsUrl url;
  std::string method = "GET";
  std::string content_type;  // of `body`; "" = the request has none
  std::string body;
};

struct HttpResponse {
  int status = 0;
  std::string media_type;  // lower case, without parameters: "text/plain"; "" = not told
  std::string body;
  std::string version;  // "HTTP/2" or "HTTP/1.1"
  IpBytes address{};    // that answered
};

struct HttpLimits {
  std::size_t max_body = 0;  // of the response, octets
  Duration total{};          // from the first lookup to the last octet
};

class HttpsClient {
 public:
  virtual ~HttpsClient() = default;
  virtual asio::awaitable<Result<HttpResponse>> exchange(HttpRequest request, HttpLimits limits) = 0;

  asio::awaitable<Result<HttpResponse>> get(HttpsUrl url, HttpLimits limits);
  asio::awaitable<Result<HttpResponse>> post(HttpsUrl url, std::string content_type, std::string body,
                                             HttpLimits limits);
};

// What verifies the host; asked once per request, so that a reload takes effect.
using TlsContextSource = std::function<std::shared_ptr<const TlsClientContexts>()>;

// Used on the executor of `resolver` and `connector`, any number of requests at a time. All outlive it.
std::unique_ptr<HttpsClient> make_https_client(Resolver& resolver, Connector& connector, Clock& clock,
                                               TlsContextSource contexts);

}  // namespace holdfast
