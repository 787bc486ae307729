#include "sts/https_client.h"

#include <algorithm>

#include "smtp/base/base_error.h"
#include "smtp/base/timeout.h"
#include "smtp/dns/mx_lookup.h"
#include "smtp/tls/tls_stream.h"
#include "sts/http_exchange.h"

namespace holdfast {
namespace {

// The response is there: what a close_notify may still cost.
constexpr Duration kGoodbye = std::chrono::seconds(2);

// How far an attempt got: of several addresses that fail, the furthest failure is told.
int depth(const Error& error) {
  if (error.is(StsError::not_permitted)) return 0;
  if (error.is(StsError::connect_failed)) return 1;
  if (error.is(StsError::tls_failed)) return 2;
  return 3;
}

// Whether another address of the host may do better. Once it has answered in HTTP, its word counts.
bool worth_another(const Error& error) { return depth(error) < 3; }

asio::awaitable<Result<HostAddresses>> addresses_of(Resolver& resolver, DomainName host) {
  co_return co_await lookup_addresses(resolver, std::move(host), IpFamily::automatic);
}

// What the stream reports while HTTP is spoken, in the client's terms.
Error exchange_error(const Error& error, const std::string& where) {
  if (error.is(BaseError::timed_out)) return Error(StsError::timed_out, where);
  if (error.is(BaseError::cancelled)) return error;
  if (error.code.category() == EnumCategory<StsError>::instance())
    return Error(error.code, where + ": " + error.detail);
  return Error(StsError::http_protocol,
               where + ": the connection ended before the response: " + error.text());
}

class Client final : public HttpsClient {
 public:
  Client(Resolver& resolver, Connector& connector, Clock& clock, TlsContextSource contexts)
      : resolver_(resolver), connector_(connector), clock_(clock), contexts_(std::move(contexts)) {}

  asio::awaitable<Result<HttpResponse>> exchange(HttpRequest request, HttpLimits limits) override {
    const SteadyTime deadline = clock_.now() + limits.total;
    const std::string host = request.url.host.text();
    auto lookup = addresses_of(resolver_, request.url.host);
    auto found = co_await with_timeout(clock_, limits.total, std::move(lookup));
    if (!found && found.error().is(BaseError::cancelled)) co_return found.error();
    if (!found) co_return Error(StsError::timed_out, "looking up " + host);
    if (found->addresses.empty())
      co_return Error(StsError::dns_failed, host + ": " + describe(found->status));

    std::optional<Error> worst;
    for (std::size_t i = 0; i < found->addresses.size(); ++i) {
      const Duration left = deadline - clock_.now();
      if (left <= Duration::zero()) {
        if (!worst) worst.emplace(StsError::timed_out, host);
        break;
      }
      // A silent address must not take the time of those after it.
      const Duration share = left / static_cast<std::int64_t>(found->addresses.size() - i);
      auto response = co_await try_address(found->addresses[i], share, deadline, request, limits.max_body);
      if (response) co_return response;
      if (!worst || depth(response.error()) > depth(*worst)) worst = response.error();
      if (!worth_another(response.error())) break;
    }
    co_return *worst;
  }

 private:
  asio::awaitable<Result<HttpResponse>> try_address(IpBytes ip, Duration share, SteadyTime deadline,
                                                    HttpRequest request, std::size_t max_body) {
    ConnectTarget target;
    target.ip = ip;
    target.port = request.url.port;
    const std::string where =
        request.url.host.text() + " [" + Peer{ip, target.port}.text() + "]:" + std::to_string(target.port);
    auto stream = co_await connector_.connect(target, share);
    if (!stream) {
      if (stream.error().is(BaseError::cancelled)) co_return stream.error();
      if (stream.error().is(BaseError::not_permitted)) co_return Error(StsError::not_permitted, where);
      co_return Error(StsError::connect_failed, where + ": " + stream.error().text());
    }
    (*stream)->set_deadline(deadline);

    TlsClientOptions options;
    options.requirement.level = TlsLevel::authenticated;
    options.requirement.server_name = request.url.host;
    options.requirement.pkix = PkixRequirement{request.url.host};
    options.requirement.min_version = TlsVersion::tls12;
    options.alpn = {"h2", "http/1.1"};
    const TlsRequirement requirement = options.requirement;
    auto handshake = co_await tls_connect(std::move(*stream), contexts_(), std::move(options));
    if (!handshake.stream) co_return tls_error(handshake.failure, where);
    if (auto missing = unmet(handshake.stream->evidence(), requirement)) co_return tls_error(missing, where);

    TlsStream& tls = *handshake.stream;
    Result<HttpResponse> response = StsError::http_protocol;
    if (tls.alpn() == "h2") {
      response = co_await http2_exchange(tls, std::move(request), max_body);
    } else {
      response = co_await http1_exchange(tls, std::move(request), max_body);
    }
    if (!response) {
      tls.close();
      co_return exchange_error(response.error(), where);
    }
    response->address = ip;
    tls.set_deadline(std::min(deadline, clock_.now() + kGoodbye));
    co_await tls.say_goodbye();
    tls.close();
    co_return response;
  }

  static Error tls_error(const TlsFailure& failure, const std::string& where) {
    std::string detail = where + ": " + describe(failure.error);
    if (!failure.detail.empty()) detail += ": " + failure.detail;
    // Running out of time is no word on the certificate.
    return Error(failure.error == TlsError::timed_out ? StsError::timed_out : StsError::tls_failed,
                 std::move(detail));
  }

  Resolver& resolver_;
  Connector& connector_;
  Clock& clock_;
  TlsContextSource contexts_;
};

}  // namespace

asio::awaitable<Result<HttpResponse>> HttpsClient::get(HttpsUrl url, HttpLimits limits) {
  HttpRequest request;
  request.url = std::move(url);
  co_return co_await exchange(std::move(request), limits);
}

asio::awaitable<Result<HttpResponse>> HttpsClient::post(HttpsUrl url, std::string content_type,
                                                        std::string body, HttpLimits limits) {
  HttpRequest request;
  request.url = std::move(url);
  request.method = "POST";
  request.content_type = std::move(content_type);
  request.body = std::move(body);
  co_return co_await exchange(std::move(request), limits);
}

std::unique_ptr<HttpsClient> make_https_client(Resolver& resolver, Connector& connector, Clock& clock,
                                               TlsContextSource contexts) {
  return std::make_unique<Client>(resolver, connector, clock, std::move(contexts));
}

}  // namespace holdfast
