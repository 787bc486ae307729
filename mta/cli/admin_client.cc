#include "mta/cli/admin_client.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <limits>

#include "mta/cli/progress.h"

namespace holdfast {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using Socket = asio::local::stream_protocol::socket;

// Longer than any answer takes; a relay that hangs must not hang the operator's shell.
constexpr int answer_seconds = 120;

std::string encoded(std::string_view text) {
  static constexpr char hex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    const bool letter = (u | 0x20) >= 'a' && (u | 0x20) <= 'z';
    if (letter || (u >= '0' && u <= '9') || c == '-' || c == '.' || c == '_' || c == '~') {
      out += c;
    } else {
      out += '%';
      out += hex[u >> 4];
      out += hex[u & 15];
    }
  }
  return out;
}

void limit_waiting(Socket& socket) {
  const timeval limit{answer_seconds, 0};
  setsockopt(socket.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(socket.native_handle(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

AdminAnswer failed(const boost::system::error_code& code, const std::filesystem::path& socket) {
  AdminAnswer answer;
  answer.permission_denied = code == asio::error::access_denied;
  answer.error = "the relay does not answer on " + socket.string() + ": " + code.message();
  return answer;
}

}  // namespace

Query given(Query query) {
  std::erase_if(query, [](const auto& pair) { return pair.second.empty(); });
  return query;
}

std::string request_target(const std::string& path, const Query& query) {
  std::string out = path;
  char separator = '?';
  for (const auto& [key, value] : query) {
    out += separator + encoded(key) + "=" + encoded(value);
    separator = '&';
  }
  return out;
}

AdminAnswer AdminClient::get_to(const std::string& path, const Query& query, const Sink& sink) const {
  return ask("GET", path, query, sink);
}

AdminAnswer AdminClient::ask(const char* method, const std::string& path, const Query& query,
                             const Sink& sink) const {
  const Progress waiting(!waiting_for_.empty(), waiting_for_);
  asio::io_context context;
  Socket socket(context);
  boost::system::error_code code;
  if (socket_.native().size() > 107) return failed(asio::error::name_too_long, socket_);
  socket.connect(asio::local::stream_protocol::endpoint(socket_.string()), code);
  if (code) return failed(code, socket_);
  limit_waiting(socket);

  http::request<http::string_body> request;
  request.version(11);
  request.method_string(method);
  request.target(request_target(path, query));
  request.set(http::field::host, "localhost");
  request.set(http::field::connection, "close");
  request.prepare_payload();
  http::write(socket, request, code);
  if (code) return failed(code, socket_);

  // The relay is ours: an answer may be as long as the queue.
  http::response_parser<http::buffer_body> parser;
  parser.body_limit(std::numeric_limits<std::uint64_t>::max());
  beast::flat_buffer buffer;
  http::read_header(socket, buffer, parser, code);
  if (code) return failed(code, socket_);
  AdminAnswer answer;
  const int status = static_cast<int>(parser.get().result_int());
  std::vector<char> space(std::size_t{64} * 1024);
  while (!parser.is_done()) {
    parser.get().body().data = space.data();
    parser.get().body().size = space.size();
    http::read(socket, buffer, parser, code);
    if (code == http::error::need_buffer) code = {};
    if (code) return failed(code, socket_);
    const std::string_view octets(space.data(), space.size() - parser.get().body().size);
    if (!sink || status / 100 != 2) {
      answer.body += octets;
    } else if (!octets.empty() && !sink(octets)) {
      answer.error = "the answer of the relay could not be written";
      return answer;
    }
  }
  answer.status = status;
  return answer;
}

}  // namespace holdfast
