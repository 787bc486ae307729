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

// What became of one address of the host.
struct Tried {
  Result<HttpResponse> response = StsError::connect_failed;
  bool asked = false;  // the request was on its way
};

// How far an attempt got: of several addresses that fail, the furthest failure is told.
int depth(const Tried& tried) {
  const Error& error = tried.response.error();
  if (error.is(BaseError::cancelled) || tried.asked) return 4;
  if (error.is(StsError::tls_failed)) return 3;
  if (error.is(StsError::timed_out)) return 2;  // in the handshake
  return error.is(StsError::connect_failed) ? 1 : 0;
}

// Whether another address of the host may do better. Once it was asked in HTTP, its word counts.
bool worth_another(const Tried& tried) { return depth(tried) < 4; }

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

    std::optional<Tried> worst;
    for (std::size_t i = 0; i < found->addresses.size(); ++i) {
      const Duration left = deadline - clock_.now();
      if (left <= Duration::zero()) {
        if (!worst) co_return Error(StsError::timed_out, host);
        break;
      }
      // An address that is silent, or stalls in the handshake, must not take the time of those after it.
      const Duration share = left / static_cast<std::int64_t>(found->addresses.size() - i);
      auto tried = co_await try_address(found->addresses[i], share, deadline, request, limits.max_body);
      if (tried.response) co_return std::move(tried.response);
      const bool last = !worth_another(tried);
      if (!worst || depth(tried) > depth(*worst)) worst = std::move(tried);
      if (last) break;
    }
    co_return worst->response.error();
  }

 private:
  // `share` is for connection and handshake, the time until `deadline` for what follows.
  asio::awaitable<Tried> try_address(IpBytes ip, Duration share, SteadyTime deadline, HttpRequest request,
                                     std::size_t max_body) {
    Tried tried;
    const SteadyTime ready_by = std::min(deadline, clock_.now() + share);
    ConnectTarget target;
    target.ip = ip;
    target.port = request.url.port;
    const std::string where =
        request.url.host.text() + " [" + Peer{ip, target.port}.text() + "]:" + std::to_string(target.port);
    auto stream = co_await connector_.connect(target, share);
    if (!stream) {
      if (stream.error().is(BaseError::cancelled)) {
        tried.response = stream.error();
      } else if (stream.error().is(BaseError::not_permitted)) {
        tried.response = Error(StsError::not_permitted, where);
      } else {
        tried.response = Error(StsError::connect_failed, where + ": " + stream.error().text());
      }
      co_return tried;
    }
    (*stream)->set_deadline(ready_by);

    TlsClientOptions options;
    options.requirement.level = TlsLevel::authenticated;
    options.requirement.server_name = request.url.host;
    options.requirement.pkix = PkixRequirement{request.url.host};
    options.requirement.min_version = TlsVersion::tls12;
    options.alpn = {"h2", "http/1.1"};
    const TlsRequirement requirement = options.requirement;
    auto handshake = co_await tls_connect(std::move(*stream), contexts_(), std::move(options));
    if (!handshake.stream) {
      tried.response = tls_error(handshake.failure, where);
      co_return tried;
    }
    if (auto missing = unmet(handshake.stream->evidence(), requirement)) {
      tried.response = tls_error(missing, where);
      co_return tried;
    }

    TlsStream& tls = *handshake.stream;
    tls.set_deadline(deadline);
    tried.asked = true;
    if (tls.alpn() == "h2") {
      tried.response = co_await http2_exchange(tls, std::move(request), max_body);
    } else {
      tried.response = co_await http1_exchange(tls, std::move(request), max_body);
    }
    if (!tried.response) {
      tls.close();
      tried.response = exchange_error(tried.response.error(), where);
      co_return tried;
    }
    tried.response->address = ip;
    tls.set_deadline(std::min(deadline, clock_.now() + kGoodbye));
    co_await tls.say_goodbye();
    tls.close();
    co_return tried;
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
