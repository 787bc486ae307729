// smtp/base/timeout_impl.h — the template behind timeout.h.
#pragma once

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <memory>
#include <optional>
#include <utility>

#include "smtp/base/base_error.h"

namespace holdfast::detail {

template <class T>
struct Limited {
  std::optional<Result<T>> result;
  asio::cancellation_signal signal;
  bool fired = false;
  bool stopped = false;  // the caller was cancelled
};

// Runs as a coroutine of its own, so that it can be cancelled without its caller.
template <class T>
asio::awaitable<void> run_limited(asio::awaitable<Result<T>> op, std::shared_ptr<Limited<T>> state) {
  co_await asio::this_coro::throw_if_cancelled(false);
  try {
    state->result.emplace(co_await std::move(op));
  } catch (const boost::system::system_error& error) {
    // An operation that reports its cancellation by throwing; anything else is a bug and goes on upwards.
    if (error.code() != asio::error::operation_aborted) throw;
  }
}

}  // namespace holdfast::detail

namespace holdfast {

template <class T>
asio::awaitable<Result<T>> with_timeout(Clock& clock, Duration limit, asio::awaitable<Result<T>> op) {
  co_await asio::this_coro::throw_if_cancelled(false);
  auto executor = co_await asio::this_coro::executor;
  auto caller = co_await asio::this_coro::cancellation_state;
  if (caller.cancelled() != asio::cancellation_type::none) co_return BaseError::cancelled;

  auto state = std::make_shared<detail::Limited<T>>();
  auto timer = clock.make_timer(executor);
  timer->arm(clock.now() + limit, [state] {
    state->fired = true;
    state->signal.emit(asio::cancellation_type::terminal);
  });
  auto slot = caller.slot();
  if (slot.is_connected()) {
    slot.assign([state](asio::cancellation_type) {
      state->stopped = true;
      state->signal.emit(asio::cancellation_type::terminal);
    });
  }
  auto job = detail::run_limited(std::move(op), state);
  auto token = asio::bind_cancellation_slot(state->signal.slot(), asio::use_awaitable);
  co_await asio::co_spawn(executor, std::move(job), token);
  if (slot.is_connected()) slot.clear();

  // What was done in the last moment counts; otherwise the cause of the failure is ours to name.
  if (state->result && state->result->has_value()) co_return std::move(*state->result);
  if (state->stopped) co_return BaseError::cancelled;
  if (state->fired) co_return BaseError::timed_out;
  if (state->result) co_return std::move(*state->result);
  co_return BaseError::cancelled;
}

}  // namespace holdfast
