#include "mta/admin_http.h"

#include <openssl/crypto.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <fmt/format.h>

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>

#include "smtp/base/base_error.h"
#include "smtp/base/task_group.h"
#include "smtp/wire/base64.h"

namespace holdfast {

namespace beast = boost::beast;
namespace http = boost::beast::http;
using Socket = asio::generic::stream_protocol::socket;
using boost::system::error_code;

namespace {

constexpr auto kIdle = std::chrono::seconds(30);  // a keep-alive connection without a request
constexpr std::size_t kMaxHeader = std::size_t{16} * 1024;

// What a listener knows of those who come through it.
struct Door {
  bool unix_socket = false;
  std::string token;  // TCP only; "" = none configured
};

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

// Counts an open connection, also when a cancellation unwinds its coroutine.
class Counted {
 public:
  explicit Counted(std::size_t& count) : count_(count) { ++count_; }
  ~Counted() { --count_; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

 private:
  std::size_t& count_;
};

// Is the peer on this machine, as far as its address tells?
bool is_near(const asio::local::stream_protocol::socket&) { return true; }
bool is_near(const asio::ip::tcp::socket& socket) {
  error_code error;
  auto address = socket.remote_endpoint(error).address();
  if (error) return false;
  if (address.is_v6() && address.to_v6().is_v4_mapped())
    address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
  return address.is_loopback();
}

std::string_view without_port(std::string_view host) {
  if (!host.empty() && host.front() == '[') return host.substr(0, host.find(']') + 1);
  return host.substr(0, host.rfind(':'));
}

bool is_local_name(std::string_view host) {
  const auto name = without_port(host);
  return name == "localhost" || name == "[::1]" || name.starts_with("127.");
}

AdminResponse plain(int status, std::string text) {
  AdminResponse response;
  response.status = status;
  response.content_type = "text/plain; charset=utf-8";
  response.body = std::move(text) + "\n";
  return response;
}

// How a body is delimited. HTTP/1.0 knows no chunks: what has no length ends with the connection.
std::string framing(const AdminResponse& response, bool chunks) {
  if (!response.stream) return fmt::format("Content-Length: {}", response.body.size());
  if (response.stream_size) return fmt::format("Content-Length: {}", *response.stream_size);
  return chunks ? "Transfer-Encoding: chunked" : "Pragma: no-cache";
}

std::string render(const AdminResponse& response, bool keep_alive, bool with_body, bool chunks = true) {
  const auto reason = http::obsolete_reason(static_cast<http::status>(response.status));
  return fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: {}\r\n{}\r\nConnection: {}\r\nCache-Control: "
      "no-store\r\n"
      "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
      "Content-Security-Policy: {}\r\n{}\r\n{}",
      response.status, std::string_view(reason.data(), reason.size()), response.content_type,
      framing(response, chunks), keep_alive ? "keep-alive" : "close", response.content_policy,
      response.asks_for_password
          ? "WWW-Authenticate: Basic realm=\"Holdfast: any name, the token as password\"\r\n"
          : "",
      with_body ? response.body : std::string());
}

}  // namespace

struct AdminHttp::Impl {
  Executor executor;
  Clock& clock;
  Log& log;
  AdminHandler handler;
  TaskGroup tasks;
  std::size_t connections = 0;
  std::vector<std::filesystem::path> sockets;

  Impl(Executor executor_, Clock& clock_, Log& log_, AdminHandler handler_)
      : executor(executor_),
        clock(clock_),
        log(log_),
        handler(std::move(handler_)),
        tasks(executor_,
              [&log_](std::string what) { log_.error("admin: an exception ended a task: " + what); }) {}

  template <class Acceptor>
  asio::awaitable<void> accept(std::shared_ptr<Acceptor> acceptor, std::shared_ptr<const Door> door) {
    while (!tasks.stopping()) {
      error_code error;
      auto socket = co_await acceptor->async_accept(asio::redirect_error(asio::use_awaitable, error));
      if (error == asio::error::operation_aborted) co_return;
      if (error) {
        log.error("admin: accept failed: " + error.message());
        const Duration pause = std::chrono::milliseconds(100);
        const bool awake = co_await sleep_for(clock, pause);  // EMFILE: let others close
        if (!awake) co_return;
        continue;
      }
      if (connections >= kMaxAdminConnections) continue;  // closes it: an admin port is no place to queue
      const bool near = is_near(socket);
      tasks.spawn(serve(Socket(std::move(socket)), door, near));
    }
  }

  asio::awaitable<void> serve(Socket socket, std::shared_ptr<const Door> door, bool near) {
    const Counted counted(connections);
    co_await converse(socket, door, near);
  }

  asio::awaitable<void> converse(Socket& socket, std::shared_ptr<const Door> door, bool near) {
    auto timer = clock.make_timer(executor);
    beast::flat_buffer buffer(kMaxHeader + kMaxAdminBody);
    bool keep_alive = true;
    while (keep_alive && !tasks.stopping()) {
      http::request_parser<http::string_body> parser;
      parser.header_limit(static_cast<std::uint32_t>(kMaxHeader));
      parser.body_limit(kMaxAdminBody);
      timer->arm(clock.now() + kIdle, [&socket] {
        error_code ignored;  // closing a broken socket can only fail
        socket.close(ignored);
      });
      error_code error;
      co_await http::async_read_header(socket, buffer, parser,
                                       asio::redirect_error(asio::use_awaitable, error));
      // Beast 1.81 fails an assertion over chunks that come in pieces, and no client of ours sends any.
      if (!error && parser.chunked()) {
        const std::string reply = render(plain(411, "the request needs a Content-Length"), false, true);
        co_await asio::async_write(socket, asio::buffer(reply),
                                   asio::redirect_error(asio::use_awaitable, error));
        co_return;
      }
      if (!error)
        co_await http::async_read(socket, buffer, parser, asio::redirect_error(asio::use_awaitable, error));
      if (error == http::error::body_limit || error == http::error::header_limit) {
        const std::string reply = render(plain(413, "the request is too large"), false, true);
        co_await asio::async_write(socket, asio::buffer(reply),
                                   asio::redirect_error(asio::use_awaitable, error));
        co_return;
      }
      if (error) co_return;
      timer->cancel();
      auto request = parser.release();
      keep_alive = request.keep_alive();
      AdminResponse response = co_await answer(request, door, near);
      const bool chunks = request.version() >= 11;
      const bool head_only = request.method() == http::verb::head;
      if (response.stream && !response.stream_size && !chunks) keep_alive = false;
      const std::string reply = render(response, keep_alive, !head_only, chunks);
      const bool sent = co_await send(socket, *timer, reply);
      if (!sent) co_return;
      if (!response.stream || head_only) continue;
      auto streaming = send_stream(socket, *timer, response, chunks && !response.stream_size);
      const bool whole = co_await std::move(streaming);
      if (!whole) co_return;
    }
  }

  // A client that stops reading is cut off.
  asio::awaitable<bool> send(Socket& socket, Timer& timer, const std::string& octets) {
    timer.arm(clock.now() + kIdle, [&socket] {
      error_code ignored;
      socket.close(ignored);
    });
    error_code error;
    co_await asio::async_write(socket, asio::buffer(octets),
                               asio::redirect_error(asio::use_awaitable, error));
    timer.cancel();
    co_return !error;
  }

  asio::awaitable<bool> send_stream(Socket& socket, Timer& timer, const AdminResponse& response,
                                    bool chunks) {
    std::uint64_t left = response.stream_size.value_or(0);
    while (true) {
      const auto next = co_await response.stream->next();
      if (!next) {
        log.warning("admin: an answer broke off: " + next.error().text());
        co_return false;
      }
      const bool end = next->empty();
      if (response.stream_size && (end ? left != 0 : next->size() > left)) co_return false;
      left -= std::min<std::uint64_t>(left, next->size());
      if (end && !chunks) co_return true;
      std::string octets(*next);
      if (chunks) octets = fmt::format("{:x}\r\n{}\r\n", octets.size(), octets);
      const bool sent = co_await send(socket, timer, octets);
      if (!sent || end) co_return sent;
    }
  }

  asio::awaitable<AdminResponse> answer(const http::request<http::string_body>& request,
                                        std::shared_ptr<const Door> door, bool near) {
    const auto method = request.method();
    if (method != http::verb::get && method != http::verb::head && method != http::verb::post) {
      co_return plain(405, "only GET, HEAD and POST are served here");
    }
    if (auto refusal = may_ask(request, *door, near)) co_return *refusal;
    AdminRequest asked;
    asked.method = method == http::verb::post ? "POST" : "GET";
    if (!parse_target({request.target().data(), request.target().size()}, asked)) {
      co_return plain(400, "the target holds a malformed escape");
    }
    asked.body = request.body();
    asked.trusted = door->unix_socket || has_token(request, *door);
    auto handling = handler(std::move(asked));
    co_return co_await std::move(handling);
  }

  static bool has_token(const http::request<http::string_body>& request, const Door& door) {
    const std::string_view given(request[http::field::authorization].data(),
                                 request[http::field::authorization].size());
    constexpr std::string_view kBearer = "Bearer ";
    return !door.token.empty() && given.starts_with(kBearer) &&
           equal_in_constant_time(given.substr(kBearer.size()), door.token);
  }

  static bool has_token_as_password(const http::request<http::string_body>& request, const Door& door) {
    const std::string_view given(request[http::field::authorization].data(),
                                 request[http::field::authorization].size());
    constexpr std::string_view kBasic = "Basic ";
    if (door.token.empty() || !given.starts_with(kBasic)) return false;
    const auto pair = base64_decode(given.substr(kBasic.size()));
    const auto colon = pair ? pair->find(':') : std::string::npos;
    return colon != std::string::npos &&
           equal_in_constant_time(std::string_view(*pair).substr(colon + 1), door.token);
  }

  // `near`: the peer is on loopback, as far as its address tells. What Host says, the peer chooses.
  std::optional<AdminResponse> may_ask(const http::request<http::string_body>& request, const Door& door,
                                       bool near) {
    if (door.unix_socket || has_token(request, door)) return std::nullopt;
    if (request.method() == http::verb::post) {
      return plain(401, "changes over TCP need the bearer token of admin.token_file; or use the socket");
    }
    if (has_token_as_password(request, door)) return std::nullopt;
    const std::string_view host(request[http::field::host].data(), request[http::field::host].size());
    if (near && is_local_name(host)) return std::nullopt;
    if (near) return plain(403, "this Host may be used only with the bearer token of admin.token_file");
    AdminResponse asks =
        plain(401, "from beyond loopback, this may be read only with the token of admin.token_file");
    asks.asks_for_password = true;
    return asks;
  }
};

AdminHttp::AdminHttp(Executor executor, Clock& clock, Log& log, AdminHandler handler)
    : impl_(std::make_unique<Impl>(executor, clock, log, std::move(handler))) {}
AdminHttp::~AdminHttp() = default;

Result<void> AdminHttp::listen_unix(const std::filesystem::path& path) {
  using asio::local::stream_protocol;
  if (path.native().size() >= sizeof(sockaddr_un::sun_path)) {
    return Error(BaseError::too_long, "admin.socket: " + path.string() +
                                          " is longer than a socket's name may be (" +
                                          std::to_string(sizeof(sockaddr_un::sun_path) - 1) + " octets)");
  }
  error_code error;
  {
    stream_protocol::socket probe(impl_->executor);
    probe.connect(stream_protocol::endpoint(path.string()), error);
    if (!error) return Error(BaseError::io, "admin.socket: another relay answers on " + path.string());
  }
  ::unlink(path.c_str());
  auto acceptor = std::make_shared<stream_protocol::acceptor>(impl_->executor);
  acceptor->open(stream_protocol(), error);
  const auto old_mask = ::umask(0177);  // the file is never, not even for a moment, open to others
  if (!error) acceptor->bind(stream_protocol::endpoint(path.string()), error);
  ::umask(old_mask);
  if (!error) acceptor->listen(asio::socket_base::max_listen_connections, error);
  if (error) return Error(error, "admin.socket: " + path.string());
  auto door = std::make_shared<Door>();
  door->unix_socket = true;
  impl_->sockets.push_back(path);
  impl_->tasks.spawn(impl_->accept(acceptor, std::shared_ptr<const Door>(door)));
  return {};
}

Result<void> AdminHttp::listen_tcp(const HostPort& bind, std::string token) {
  using asio::ip::tcp;
  error_code error;
  const auto address = asio::ip::make_address(bind.host, error);
  if (error) return Error(error, "admin.http: \"" + bind.host + "\" is no address");
  if (!address.is_loopback() && token.empty()) {
    return Error(BaseError::not_permitted,
                 "admin.http: " + bind.text() + " is not loopback, so admin.token_file must be set");
  }
  const tcp::endpoint endpoint(address, bind.port);
  auto acceptor = std::make_shared<tcp::acceptor>(impl_->executor);
  acceptor->open(endpoint.protocol(), error);
  if (!error) acceptor->set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor->bind(endpoint, error);
  if (!error) acceptor->listen(asio::socket_base::max_listen_connections, error);
  if (error) return Error(error, "admin.http: " + bind.text());
  auto door = std::make_shared<Door>();
  door->token = std::move(token);
  HostPort bound = bind;
  bound.port = acceptor->local_endpoint().port();
  impl_->log.info("listening", Fields().add("address", bound.text()).add("mode", "admin"));
  impl_->tasks.spawn(impl_->accept(acceptor, std::shared_ptr<const Door>(door)));
  return {};
}

asio::awaitable<void> AdminHttp::stop() {
  impl_->tasks.stop();
  co_await impl_->tasks.drained();
  for (const auto& path : impl_->sockets) ::unlink(path.c_str());
}

}  // namespace holdfast
