#include "mta/admin_http.h"

#include <sys/stat.h>
#include <sys/un.h>

#include <fmt/format.h>

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <mutex>
#include <vector>

#include "mta/admin_door.h"
#include "smtp/base/base_error.h"
#include "smtp/base/task_group.h"

namespace holdfast {

namespace beast = boost::beast;
namespace http = boost::beast::http;
using Socket = asio::generic::stream_protocol::socket;
using boost::system::error_code;

namespace {

constexpr auto kIdle = std::chrono::seconds(30);  // a keep-alive connection without a request
constexpr std::size_t kMaxHeader = std::size_t{16} * 1024;

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
  std::mutex mutex;  // for `doors`
  std::vector<std::shared_ptr<AdminDoor>> doors;
  std::vector<std::filesystem::path> sockets;

  Impl(Executor executor_, Clock& clock_, Log& log_, AdminHandler handler_)
      : executor(executor_),
        clock(clock_),
        log(log_),
        handler(std::move(handler_)),
        tasks(executor_,
              [&log_](std::string what) { log_.error("admin: an exception ended a task: " + what); }) {}

  template <class Acceptor>
  asio::awaitable<void> accept(std::shared_ptr<Acceptor> acceptor, std::shared_ptr<AdminDoor> door) {
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
      if (!door->make_room()) continue;  // closes it: an admin port is no place to queue
      const bool near = is_near(socket);
      tasks.spawn(serve(Socket(std::move(socket)), door, near));
    }
  }

  template <class Acceptor>
  void open(std::shared_ptr<Acceptor> acceptor, std::shared_ptr<AdminDoor> door) {
    {
      const std::lock_guard lock(mutex);
      doors.push_back(door);
    }
    asio::post(executor, [this, acceptor, door] { tasks.spawn(accept(acceptor, door)); });
  }

  asio::awaitable<void> serve(Socket socket, std::shared_ptr<AdminDoor> door, bool near) {
    AdminDoor::Place place(*door, [&socket] {
      error_code ignored;  // closing a broken socket can only fail
      socket.close(ignored);
    });
    co_await converse(socket, *door, place, near);
  }

  asio::awaitable<void> converse(Socket& socket, const AdminDoor& door, AdminDoor::Place& place, bool near) {
    auto timer = clock.make_timer(executor);
    beast::flat_buffer buffer(kMaxHeader + kMaxAdminBody);
    bool keep_alive = true;
    while (keep_alive && !tasks.stopping()) {
      http::request_parser<http::string_body> parser;
      parser.header_limit(static_cast<std::uint32_t>(kMaxHeader));
      parser.body_limit(kMaxAdminBody);
      place.waits_since(clock.now());
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
      place.works();
      auto request = parser.release();
      const AdminDoor::Verdict verdict = door.judge(caller(request, near));
      place.showed_token(verdict.showed_token);
      // Whoever is refused has no business with an open connection.
      keep_alive = request.keep_alive() && verdict.status == 0;
      AdminResponse response = co_await answer(request, verdict, keep_alive);
      const bool chunks = request.version() >= 11;
      const bool head_only = request.method() == http::verb::head;
      if (response.stream && !response.stream_size && !chunks) keep_alive = false;
      const std::string reply = render(response, keep_alive, !head_only, chunks);
      const bool sent = co_await send(socket, *timer, place, reply);
      if (!sent) co_return;
      if (!response.stream || head_only) continue;
      auto streaming = send_stream(socket, *timer, place, response, chunks && !response.stream_size);
      const bool whole = co_await std::move(streaming);
      if (!whole) co_return;
    }
  }

  // A client that stops reading is cut off.
  asio::awaitable<bool> send(Socket& socket, Timer& timer, AdminDoor::Place& place,
                             const std::string& octets) {
    place.waits_since(clock.now());
    timer.arm(clock.now() + kIdle, [&socket] {
      error_code ignored;
      socket.close(ignored);
    });
    error_code error;
    co_await asio::async_write(socket, asio::buffer(octets),
                               asio::redirect_error(asio::use_awaitable, error));
    timer.cancel();
    place.works();
    co_return !error;
  }

  asio::awaitable<bool> send_stream(Socket& socket, Timer& timer, AdminDoor::Place& place,
                                    const AdminResponse& response, bool chunks) {
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
      const bool sent = co_await send(socket, timer, place, octets);
      if (!sent || end) co_return sent;
    }
  }

  static AdminDoor::Caller caller(const http::request<http::string_body>& request, bool near) {
    const auto field = [&request](http::field name) {
      return std::string_view(request[name].data(), request[name].size());
    };
    AdminDoor::Caller caller;
    caller.near = near;
    caller.changes = request.method() == http::verb::post;
    caller.host = field(http::field::host);
    caller.authorization = field(http::field::authorization);
    return caller;
  }

  // What was not even understood ends the connection, too.
  asio::awaitable<AdminResponse> answer(const http::request<http::string_body>& request,
                                        const AdminDoor::Verdict& verdict, bool& keep_alive) {
    const auto method = request.method();
    if (method != http::verb::get && method != http::verb::head && method != http::verb::post) {
      keep_alive = false;
      co_return plain(405, "only GET, HEAD and POST are served here");
    }
    if (verdict.status != 0) {
      AdminResponse refusal = plain(verdict.status, verdict.why);
      refusal.asks_for_password = verdict.asks_for_password;
      co_return refusal;
    }
    AdminRequest asked;
    asked.method = method == http::verb::post ? "POST" : "GET";
    if (!parse_target({request.target().data(), request.target().size()}, asked)) {
      keep_alive = false;
      co_return plain(400, "the target holds a malformed escape, or a name twice");
    }
    asked.body = request.body();
    asked.trusted = verdict.trusted;
    auto handling = handler(std::move(asked));
    co_return co_await std::move(handling);
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
  impl_->sockets.push_back(path);
  impl_->open(std::move(acceptor), std::make_shared<AdminDoor>(AdminDoor::Kind::unix_socket));
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
  HostPort bound = bind;
  bound.port = acceptor->local_endpoint().port();
  impl_->log.info("listening", Fields().add("address", bound.text()).add("mode", "admin"));
  impl_->open(std::move(acceptor), std::make_shared<AdminDoor>(AdminDoor::Kind::tcp, std::move(token)));
  return {};
}

void AdminHttp::use_token(const std::string& token) {
  const std::lock_guard lock(impl_->mutex);
  for (const auto& door : impl_->doors) door->use_token(token);
}

asio::awaitable<void> AdminHttp::stop() {
  impl_->tasks.stop();
  co_await impl_->tasks.drained();
  for (const auto& path : impl_->sockets) ::unlink(path.c_str());
}

}  // namespace holdfast
