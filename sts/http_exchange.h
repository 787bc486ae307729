// sts/http_exchange.h — one request and its whole response on a connected, verified stream. The stream's
// deadline bounds the exchange; both versions keep the same limits and make the same checks.
#pragma once

#include <string>
#include <string_view>

#include "smtp/base/stream.h"
#include "sts/https_client.h"

namespace holdfast {

// Header fields of a response, all together. A policy host needs a few hundred octets.
inline constexpr std::size_t kMaxResponseHeader = 32 * 1024;
// Interim responses (1xx) before the final one.
inline constexpr int kMaxInterimResponses = 5;
inline constexpr char kUserAgent[] = "holdfast";

// ALPN "h2": RFC 9113, by nghttp2.
asio::awaitable<Result<HttpResponse>> http2_exchange(Stream& stream, HttpRequest request,
                                                     std::size_t max_body);
// ALPN "http/1.1" or none: RFC 9112, by Boost.Beast's parser.
asio::awaitable<Result<HttpResponse>> http1_exchange(Stream& stream, HttpRequest request,
                                                     std::size_t max_body);

// "Text/Plain; charset=utf-8" → "text/plain".
std::string media_type_of(std::string_view content_type);

}  // namespace holdfast
