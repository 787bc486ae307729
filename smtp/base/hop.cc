#include "smtp/base/hop.h"

namespace holdfast {
namespace {

asio::awaitable<void> run_hopped(asio::awaitable<void> job) {
  co_await asio::this_coro::throw_if_cancelled(false);
  co_await std::move(job);
}

}  // namespace

asio::awaitable<void> hop(Executor to, asio::awaitable<void> job) {
  co_await asio::this_coro::throw_if_cancelled(false);
  co_await asio::co_spawn(to, run_hopped(std::move(job)), asio::use_awaitable);
}

}  // namespace holdfast
