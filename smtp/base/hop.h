// smtp/base/hop.h — runs a coroutine on another executor and comes back: the one way from worker to worker.
//
// Cancellation of the caller is passed on. Like the children of a TaskGroup, the job sees a cancellation as a
// result of what it waits for, never as an exception out of co_await. Use this rather than a bare co_spawn:
// Boost 1.81 keeps the signal of a spawned coroutine in its caller's slot, so that a cancellation on its way
// to the other thread meets freed memory when the job ends first.
#pragma once

#include <boost/asio/this_coro.hpp>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "smtp/base/asio.h"

namespace holdfast {

namespace detail {

// Belongs to the caller's thread, and to the job's between its start and its end.
template <class T>
struct Hop {
  std::optional<T> result;
  std::exception_ptr exception;
};
template <>
struct Hop<void> {
  std::exception_ptr exception;
};

template <class T>
asio::awaitable<void> run_hopped(asio::awaitable<T> job, std::shared_ptr<Hop<T>> hop) {
  co_await asio::this_coro::throw_if_cancelled(false);
  try {
    if constexpr (std::is_void_v<T>) {
      co_await std::move(job);
    } else {
      hop->result.emplace(co_await std::move(job));
    }
  } catch (...) {
    hop->exception = std::current_exception();
  }
}

// Runs `job`, which does not throw, on `to`; returns on the caller's executor.
asio::awaitable<void> hop_and_wait(Executor to, asio::awaitable<void> job);

}  // namespace detail

// Exceptions of `job` come out here. T needs no default constructor.
template <class T>
asio::awaitable<T> hop(Executor to, asio::awaitable<T> job) {
  co_await asio::this_coro::throw_if_cancelled(false);
  auto state = std::make_shared<detail::Hop<T>>();
  co_await detail::hop_and_wait(to, detail::run_hopped(std::move(job), state));
  if (state->exception) std::rethrow_exception(state->exception);
  if constexpr (!std::is_void_v<T>) co_return std::move(*state->result);
}

}  // namespace holdfast
