// smtp/base/tcp_stream.h — a connected TCP socket as a Stream.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <memory>

#include "smtp/base/stream.h"

namespace holdfast {

// The stream lives on the socket's executor; `clock` outlives it. Small writes leave at once (TCP_NODELAY).
std::unique_ptr<Stream> make_tcp_stream(asio::ip::tcp::socket socket, Clock& clock);

IpBytes to_bytes(const asio::ip::address& address);
asio::ip::address to_address(const IpBytes& ip);  // an IPv4 address for ::ffff:a.b.c.d

}  // namespace holdfast
