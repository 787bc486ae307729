#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <optional>

#include "smtp/base/base_error.h"
#include "sts/http_exchange.h"

namespace holdfast {
namespace {

namespace http = boost::beast::http;
using Parser = http::response_parser<http::string_body>;

std::string request_text(const HttpRequest& request) {
  std::string text = request.method + " " + request.url.path +
                     " HTTP/1.1\r\nHost: " + request.url.authority() + "\r\nUser-Agent: " + kUserAgent +
                     "\r\nAccept-Encoding: identity\r\nConnection: close\r\n";
  if (!request.content_type.empty()) {
    text += "Content-Type: " + request.content_type +
            "\r\nContent-Length: " + std::to_string(request.body.size()) + "\r\n";
  }
  return text + "\r\n" + request.body;
}

Error failure(const boost::system::error_code& error, std::size_t max_body) {
  if (error == http::error::body_limit) {
    return Error(StsError::too_large, "more than " + std::to_string(max_body) + " octets");
  }
  return Error(StsError::http_protocol, error.message());
}

std::unique_ptr<Parser> make_parser(std::size_t max_body) {
  auto parser = std::make_unique<Parser>();
  parser->body_limit(max_body);
  parser->header_limit(static_cast<std::uint32_t>(kMaxResponseHeader));
  parser->eager(true);
  return parser;
}

Result<HttpResponse> response_of(Parser& parser) {
  auto& message = parser.get();
  if (message.version() != 10 && message.version() != 11) return Error(StsError::http_protocol, "not HTTP/1");
  if (message.result_int() < 200) return Error(StsError::http_protocol, "no such status");
  const auto encoding = message[http::field::content_encoding];
  if (!encoding.empty() && media_type_of({encoding.data(), encoding.size()}) != "identity") {
    return Error(StsError::http_protocol, "the response is encoded");
  }
  const auto type = message[http::field::content_type];
  HttpResponse response;
  response.status = static_cast<int>(message.result_int());
  response.media_type = media_type_of({type.data(), type.size()});
  response.body = std::move(message.body());
  response.version = "HTTP/1.1";
  return response;
}

}  // namespace

asio::awaitable<Result<HttpResponse>> http1_exchange(Stream& stream, HttpRequest request,
                                                     std::size_t max_body) {
  const std::string text = request_text(request);
  auto written = co_await stream.write(text);
  if (!written) co_return written.error();

  auto parser = make_parser(max_body);
  int interim = 0;
  std::string pending;  // what came and is not parsed yet
  std::vector<char> buffer(16 * 1024);
  const std::span<char> space(buffer);
  while (true) {
    boost::system::error_code error;
    // Beast takes whole header lines at a time: what it leaves stays in `pending`. Where a chunk may begin it
    // wants the five octets that always follow there ("0", CRLF, CRLF), or fails an assertion.
    const bool short_of_a_chunk = parser->is_header_done() && parser->chunked() && pending.size() < 5;
    if (!pending.empty() && !short_of_a_chunk) {
      const std::size_t used = parser->put(asio::buffer(pending.data(), pending.size()), error);
      pending.erase(0, used);
      if (error && error != http::error::need_more) co_return failure(error, max_body);
    }
    if (parser->is_done()) {
      if (parser->get().result_int() / 100 != 1) co_return response_of(*parser);
      if (++interim > kMaxInterimResponses)
        co_return Error(StsError::http_protocol, "endless interim responses");
      parser = make_parser(max_body);
      if (!pending.empty()) continue;
    }
    if (pending.size() > 2 * kMaxResponseHeader)
      co_return Error(StsError::http_protocol, "the response's header is too large");
    auto length = co_await stream.read_some(space);
    if (!length) {
      // Over TLS an orderly end is authenticated, so it may end a body that has no other end (RFC 9112
      // section 6.3).
      if (!length.error().is(BaseError::closed)) co_return length.error();
      // Beast takes an end before the first octet for a whole response (200, without assertions).
      if (!parser->got_some()) co_return Error(StsError::http_protocol, "no response");
      parser->put_eof(error);
      if (error) co_return failure(error, max_body);
      if (!parser->is_done()) co_return Error(StsError::http_protocol, "the response was cut off");
      co_return response_of(*parser);
    }
    pending.append(buffer.data(), *length);
  }
}

}  // namespace holdfast
