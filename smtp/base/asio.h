// smtp/base/asio.h — the few parts of Boost.Asio that headers of this project need. The rest is included
// where it is used: every further Asio header costs each unit a second or more.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

namespace holdfast {

namespace asio = boost::asio;
using Executor = asio::any_io_executor;

}  // namespace holdfast
