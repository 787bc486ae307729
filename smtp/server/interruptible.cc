#include "smtp/server/interruptible.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace holdfast {
namespace {

asio::awaitable<void> run_interruptible(asio::awaitable<void> job) {
  co_await asio::this_coro::throw_if_cancelled(false);
  co_await std::move(job);
}

}  // namespace

asio::awaitable<void> Interruptible::run(asio::awaitable<void> job) {
  const auto executor = co_await asio::this_coro::executor;
  auto caller = co_await asio::this_coro::cancellation_state;
  auto slot = caller.slot();
  // Boost 1.81 leaves the ended coroutine's handler in a slot.
  struct Clear {
    Interruptible& self;
    asio::cancellation_slot caller;
    ~Clear() {
      self.running_ = false;
      self.signal_.slot().clear();
      if (caller.is_connected()) caller.clear();
    }
  } clear{*this, slot};
  if (slot.is_connected()) slot.assign([this](asio::cancellation_type type) { signal_.emit(type); });
  running_ = true;
  auto whole = run_interruptible(std::move(job));
  auto token = asio::bind_cancellation_slot(signal_.slot(), asio::use_awaitable);
  co_await asio::co_spawn(executor, std::move(whole), token);
}

void Interruptible::interrupt() {
  if (running_) signal_.emit(asio::cancellation_type::terminal);
}

}  // namespace holdfast
