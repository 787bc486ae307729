#include "smtp/base/tcp_listener.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "smtp/base/base_error.h"
#include "smtp/base/tcp_stream.h"

namespace holdfast {
namespace {

using asio::ip::tcp;

constexpr auto kAcceptAsTuple = asio::as_tuple(asio::use_awaitable);
// Without a descriptor accept() fails at once and would spin; sessions end in the meantime.
constexpr auto kPauseWithoutDescriptors = std::chrono::milliseconds(100);

class Listener final : public TcpListener {
 public:
  explicit Listener(tcp::acceptor acceptor) : acceptor_(std::move(acceptor)) {
    const auto endpoint = acceptor_.local_endpoint();
    address_ = HostPort{endpoint.address().to_string(), endpoint.port()};
  }

  HostPort address() const override { return address_; }

  asio::awaitable<Result<std::unique_ptr<Stream>>> accept(Executor worker, Clock& clock) override {
    for (;;) {
      const auto cancellation = co_await asio::this_coro::cancellation_state;
      if (cancellation.cancelled() != asio::cancellation_type::none) co_return BaseError::cancelled;
      if (!acceptor_.is_open()) co_return BaseError::closed;
      tcp::socket socket(worker);
      const auto [error] = co_await acceptor_.async_accept(socket, kAcceptAsTuple);
      if (!error) co_return make_tcp_stream(std::move(socket), clock);
      if (!acceptor_.is_open()) co_return BaseError::closed;
      if (error == asio::error::operation_aborted) co_return BaseError::cancelled;
      if (is_of_one_connection(error)) continue;
      if (!is_exhaustion(error))
        co_return Error(BaseError::io, "accept on " + address_.text() + ": " + error.message());
      const bool slept = co_await sleep_for(clock, kPauseWithoutDescriptors);
      if (!slept) co_return BaseError::cancelled;
    }
  }

  void close() override {
    boost::system::error_code ignored;  // given back all the same
    acceptor_.close(ignored);
  }

 private:
  // The client was gone before we came to it (accept(2) lists what Linux passes on from the new socket).
  static bool is_of_one_connection(const boost::system::error_code& error) {
    using boost::system::errc::errc_t;
    return error == asio::error::connection_aborted || error == errc_t::protocol_error ||
           error == errc_t::no_protocol_option || error == errc_t::network_down ||
           error == errc_t::network_unreachable || error == errc_t::host_unreachable;
  }
  static bool is_exhaustion(const boost::system::error_code& error) {
    using boost::system::errc::errc_t;
    return error == errc_t::too_many_files_open || error == errc_t::too_many_files_open_in_system ||
           error == errc_t::no_buffer_space || error == errc_t::not_enough_memory;
  }

  tcp::acceptor acceptor_;
  HostPort address_;
};

}  // namespace

Result<std::unique_ptr<TcpListener>> TcpListener::open(Executor executor, const HostPort& bind) {
  const auto failed = [&](const std::string& why) {
    return Error(BaseError::io, "cannot listen on " + bind.text() + ": " + why);
  };
  boost::system::error_code error;
  const auto address = asio::ip::make_address(bind.host, error);
  if (error) return failed("not an address");
  tcp::acceptor acceptor(executor);
  const tcp::endpoint endpoint(address, bind.port);
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error && address.is_v6() && address.is_unspecified())
    acceptor.set_option(asio::ip::v6_only(false), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(tcp::acceptor::max_listen_connections, error);
  if (error == asio::error::address_in_use)
    return failed(error.message() + "; another program holds the port: `ss -ltnp` says which");
  if (error == asio::error::access_denied)
    return failed(error.message() +
                  "; a port below 1024 needs CAP_NET_BIND_SERVICE, or the sysctl "
                  "net.ipv4.ip_unprivileged_port_start");
  if (error) return failed(error.message());
  return std::unique_ptr<TcpListener>(std::make_unique<Listener>(std::move(acceptor)));
}

}  // namespace holdfast
