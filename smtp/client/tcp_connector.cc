#include "smtp/client/tcp_connector.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "smtp/base/base_error.h"
#include "smtp/base/tcp_stream.h"
#include "smtp/base/timeout.h"
#include "smtp/dns/resolver.h"

namespace holdfast {
namespace {

using asio::ip::tcp;

std::string text_of(const ConnectTarget& target) {
  Peer peer;
  peer.ip = target.ip;
  return peer.literal() + ":" + std::to_string(target.port);
}

asio::awaitable<Result<std::unique_ptr<Stream>>> open_socket(Clock& clock, ConnectTarget target) {
  auto executor = co_await asio::this_coro::executor;
  const tcp::endpoint endpoint(to_address(target.ip), target.port);
  tcp::socket socket(executor);
  boost::system::error_code error;
  socket.open(endpoint.protocol(), error);
  if (!error && target.source) {
    const auto source = to_address(*target.source);
    if (source.is_v4() != endpoint.address().is_v4()) {
      co_return Error(BaseError::unreachable,
                      text_of(target) + ": the source address is of the other family");
    }
    socket.bind(tcp::endpoint(source, 0), error);
  }
  if (error) co_return Error(BaseError::unreachable, text_of(target) + ": " + error.message());
  const auto [failure] = co_await socket.async_connect(endpoint, asio::as_tuple(asio::use_awaitable));
  if (failure == asio::error::operation_aborted) co_return Error(BaseError::cancelled, text_of(target));
  if (failure) co_return Error(BaseError::unreachable, text_of(target) + ": " + failure.message());
  co_return make_tcp_stream(std::move(socket), clock);
}

}  // namespace

bool may_reach(const IpBytes& ip, const std::vector<Network>& allow) {
  if (is_global(ip)) return true;
  return std::any_of(allow.begin(), allow.end(),
                     [&](const Network& network) { return network.contains(ip); });
}

asio::awaitable<Result<std::unique_ptr<Stream>>> TcpConnector::connect(ConnectTarget target, Duration limit) {
  // Here and not where the name was resolved: this very address is connected to, so a second answer of the
  // DNS (rebinding) changes nothing.
  if (!target.operators_word) {
    const auto settings = settings_();
    if (!may_reach(target.ip, settings->egress.allow)) {
      co_return Error(BaseError::not_permitted,
                      text_of(target) + " is not a global address, see egress.allow");
    }
  }
  auto opening = open_socket(clock_, target);
  co_return co_await with_timeout(clock_, limit, std::move(opening));
}

}  // namespace holdfast
