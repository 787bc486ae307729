#include "smtp/base/tcp_stream.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "smtp/base/base_error.h"
#include "smtp/base/deadline.h"

namespace holdfast {
namespace {

using asio::ip::tcp;

constexpr auto kStreamAsTuple = asio::as_tuple(asio::use_awaitable);

Peer peer_of(const tcp::endpoint& endpoint) {
  Peer peer;
  peer.ip = to_bytes(endpoint.address());
  peer.port = endpoint.port();
  return peer;
}

class TcpStream final : public Stream {
 public:
  TcpStream(tcp::socket socket, Clock& clock)
      : socket_(std::move(socket)),
        deadline_(clock, socket_.get_executor(), [this] { end(BaseError::timed_out); }) {
    boost::system::error_code ignored;  // a peer that is gone already shows at the first read
    socket_.set_option(tcp::no_delay(true), ignored);
    local_ = peer_of(socket_.local_endpoint(ignored));
    remote_ = peer_of(socket_.remote_endpoint(ignored));
  }

  asio::awaitable<Result<std::size_t>> read_some(std::span<char> buffer) override {
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    if (ended_) co_return *ended_;
    if (cancellation.cancelled() != asio::cancellation_type::none) co_return BaseError::cancelled;
    const auto target = asio::buffer(buffer.data(), buffer.size());
    const auto [error, count] = co_await socket_.async_read_some(target, kStreamAsTuple);
    if (error) co_return cause(error);
    co_return count;
  }

  asio::awaitable<Result<void>> write(std::string_view data) override {
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    while (!data.empty()) {
      if (ended_) co_return *ended_;
      if (cancellation.cancelled() != asio::cancellation_type::none) co_return BaseError::cancelled;
      const auto source = asio::buffer(data.data(), data.size());
      const auto [error, count] = co_await socket_.async_write_some(source, kStreamAsTuple);
      if (error) co_return cause(error);
      data.remove_prefix(count);
    }
    co_return Result<void>();
  }

  void set_deadline(SteadyTime at) override {
    if (!ended_) deadline_.set(at);
  }

  void close() override { end(BaseError::closed); }
  Peer local() const override { return local_; }
  Peer remote() const override { return remote_; }

 private:
  void end(BaseError why) {
    if (ended_) return;
    ended_ = why;
    deadline_.clear();
    boost::system::error_code ignored;  // the descriptor is given back whatever close() says
    socket_.close(ignored);
  }

  Error cause(const boost::system::error_code& error) const {
    if (ended_) return *ended_;
    if (error == asio::error::operation_aborted) return BaseError::cancelled;
    if (error == asio::error::eof) return BaseError::closed;
    if (error == asio::error::timed_out) return Error(BaseError::timed_out, "the network gave up");
    return Error(BaseError::reset, error.message());
  }

  tcp::socket socket_;
  std::optional<BaseError> ended_;
  Peer local_, remote_;
  Deadline deadline_;  // last: its timer refers to the rest
};

}  // namespace

std::unique_ptr<Stream> make_tcp_stream(tcp::socket socket, Clock& clock) {
  return std::make_unique<TcpStream>(std::move(socket), clock);
}

IpBytes to_bytes(const asio::ip::address& address) {
  const auto v6 =
      address.is_v4() ? asio::ip::make_address_v6(asio::ip::v4_mapped, address.to_v4()) : address.to_v6();
  return v6.to_bytes();
}

asio::ip::address to_address(const IpBytes& ip) {
  const asio::ip::address_v6 v6(ip);
  if (v6.is_v4_mapped()) return asio::ip::make_address_v4(asio::ip::v4_mapped, v6);
  return v6;
}

}  // namespace holdfast
