// tests/fakes/run.h — drives a coroutine to its end on an io_context of its own and returns what it gives.
//
// Like the production code, the coroutine runs with throw_if_cancelled(false). With threads (Workers) in
// play, declare the io_context before them and pass it: a thread may still be inside a post to the context
// when its result is already here, so the context has to outlive the threads.
#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/this_coro.hpp>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "smtp/base/asio.h"
#include "tests/fakes/fake_clock.h"

namespace holdfast {

namespace detail {

template <class T>
struct Outcome {
  std::optional<T> value;
  std::exception_ptr exception;
  bool done = false;
};
template <>
struct Outcome<void> {
  std::exception_ptr exception;
  bool done = false;
};

template <class T>
asio::awaitable<void> run_to(asio::awaitable<T> task, std::shared_ptr<Outcome<T>> outcome) {
  co_await asio::this_coro::throw_if_cancelled(false);
  if constexpr (std::is_void_v<T>) {
    co_await std::move(task);
  } else {
    outcome->value.emplace(co_await std::move(task));
  }
}

template <class T>
std::shared_ptr<Outcome<T>> start(asio::io_context& context, asio::awaitable<T> task) {
  auto outcome = std::make_shared<Outcome<T>>();
  asio::co_spawn(context, run_to(std::move(task), outcome), [outcome](std::exception_ptr exception) {
    outcome->exception = exception;
    outcome->done = true;
  });
  return outcome;
}

template <class T>
T finish(Outcome<T>& outcome) {
  if (outcome.exception) std::rethrow_exception(outcome.exception);
  if (!outcome.done) throw std::logic_error("the coroutine waits for something that nobody will do");
  if constexpr (!std::is_void_v<T>) return std::move(*outcome.value);
}

}  // namespace detail

// Runs until `task` has ended; what else was started on the context stays where it is then.
template <class T>
T run(asio::io_context& context, asio::awaitable<T> task) {
  auto outcome = detail::start(context, std::move(task));
  context.restart();
  while (!outcome->done && context.run_one() != 0) {
  }
  return detail::finish(*outcome);
}

// As above, and moves the clock to its next timer whenever nothing else is left to do: no waiting in real
// time. Only for coroutines whose partners (streams, resolvers) are fakes on the same context.
template <class T>
T run(asio::io_context& context, FakeClock& clock, asio::awaitable<T> task) {
  auto outcome = detail::start(context, std::move(task));
  context.restart();
  while (!outcome->done) {
    if (context.poll_one() != 0) continue;
    if (!clock.advance_to_next()) break;
  }
  return detail::finish(*outcome);
}

template <class T>
T run(asio::awaitable<T> task) {
  asio::io_context context;
  return run(context, std::move(task));
}

template <class T>
T run(FakeClock& clock, asio::awaitable<T> task) {
  asio::io_context context;
  return run(context, clock, std::move(task));
}

// Runs what is ready, without waiting.
inline void settle(asio::io_context& context) {
  context.restart();
  context.poll();
}

}  // namespace holdfast
