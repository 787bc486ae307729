// smtp/base/hop.h — runs a coroutine on another executor and comes back: the one way from worker to worker.
//
// Cancellation of the caller is passed on. Like the children of a TaskGroup, the job sees a cancellation as a
// result of what it waits for, never as an exception out of co_await.
#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <optional>
#include <utility>

#include "smtp/base/asio.h"

namespace holdfast {

namespace detail {

template <class T>
asio::awaitable<void> run_hopped(asio::awaitable<T> job, std::shared_ptr<std::optional<T>> result) {
  co_await asio::this_coro::throw_if_cancelled(false);
  result->emplace(co_await std::move(job));
}

}  // namespace detail

// Exceptions of `job` come out here. T needs no default constructor.
template <class T>
asio::awaitable<T> hop(Executor to, asio::awaitable<T> job) {
  co_await asio::this_coro::throw_if_cancelled(false);
  auto result = std::make_shared<std::optional<T>>();
  co_await asio::co_spawn(to, detail::run_hopped(std::move(job), result), asio::use_awaitable);
  co_return std::move(**result);
}

asio::awaitable<void> hop(Executor to, asio::awaitable<void> job);

}  // namespace holdfast
