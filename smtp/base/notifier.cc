#include "smtp/base/notifier.h"

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>
#include <list>
#include <utility>

namespace holdfast {

struct Notifier::Waiter {
  std::function<void(bool)> complete;
};

struct Notifier::State {
  std::list<std::shared_ptr<Waiter>> waiters;

  // Completes once; later calls (a notification that crosses a cancellation) find nothing to do.
  static void finish(Waiter& waiter, bool notified) {
    if (auto complete = std::exchange(waiter.complete, nullptr)) complete(notified);
  }
  void wake_all(bool notified) {
    const auto woken = std::exchange(waiters, {});
    for (const auto& waiter : woken) finish(*waiter, notified);
  }
};

namespace {

// A handler made copyable, so that std::function can hold it, which completes by a post to its executor.
template <class Handler>
std::function<void(bool)> completion_of(Handler handler) {
  auto shared = std::make_shared<Handler>(std::move(handler));
  return [shared](bool notified) {
    auto executor = asio::get_associated_executor(*shared);
    asio::post(executor, [shared, notified] {
      auto slot = asio::get_associated_cancellation_slot(*shared);
      if (slot.is_connected()) slot.clear();
      auto own = std::move(*shared);
      std::move(own)(notified);
    });
  };
}

}  // namespace

Notifier::Notifier() : state_(std::make_shared<State>()) {}
Notifier::~Notifier() { state_->wake_all(false); }
void Notifier::notify() { state_->wake_all(true); }
bool Notifier::has_waiters() const { return !state_->waiters.empty(); }

asio::awaitable<bool> Notifier::wait() {
  auto state = state_;
  const auto cancellation = co_await asio::this_coro::cancellation_state;
  if (cancellation.cancelled() != asio::cancellation_type::none) co_return false;
  auto initiation = [state](auto handler) {
    auto waiter = std::make_shared<Waiter>();
    auto slot = asio::get_associated_cancellation_slot(handler);
    waiter->complete = completion_of(std::move(handler));
    const auto place = state->waiters.insert(state->waiters.end(), waiter);
    if (!slot.is_connected()) return;
    std::weak_ptr<State> weak = state;
    slot.assign([weak, waiter, place](asio::cancellation_type) {
      if (!waiter->complete) return;  // woken already
      if (auto alive = weak.lock()) alive->waiters.erase(place);
      State::finish(*waiter, false);
    });
  };
  const bool notified = co_await asio::async_initiate<const asio::use_awaitable_t<>, void(bool)>(
      initiation, asio::use_awaitable);
  co_return notified;
}

asio::awaitable<bool> Notifier::wait_through_cancellation() {
  auto state = state_;
  co_await asio::this_coro::throw_if_cancelled(false);
  auto initiation = [state](auto handler) {
    auto waiter = std::make_shared<Waiter>();
    waiter->complete = completion_of(std::move(handler));
    state->waiters.push_back(std::move(waiter));
  };
  const bool notified = co_await asio::async_initiate<const asio::use_awaitable_t<>, void(bool)>(
      initiation, asio::use_awaitable);
  co_return notified;
}

asio::awaitable<bool> is_cancelled() {
  const auto cancellation = co_await asio::this_coro::cancellation_state;
  co_return cancellation.cancelled() != asio::cancellation_type::none;
}

}  // namespace holdfast
