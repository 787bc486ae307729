// smtp/base/notifier.h — lets coroutines of one executor wait for something to happen.
//
// The waiter checks its condition, waits, and checks again: a notification carries nothing. Used on one
// executor only. Destroying a Notifier wakes its waiters with false.
#pragma once

#include <memory>

#include "smtp/base/asio.h"

namespace holdfast {

class Notifier {
 public:
  Notifier();
  ~Notifier();
  Notifier(const Notifier&) = delete;
  Notifier& operator=(const Notifier&) = delete;

  // True when notified; false when the waiting coroutine was cancelled or the Notifier is gone. Never throws.
  asio::awaitable<bool> wait();
  // As wait(), but a cancellation of the waiter is not looked at: for draining.
  asio::awaitable<bool> wait_through_cancellation();
  void notify();  // wakes all that wait now
  bool has_waiters() const;

 private:
  struct Waiter;
  struct State;
  std::shared_ptr<State> state_;
};

// Whether the calling coroutine was cancelled. Primitives ask before they wait: with
// throw_if_cancelled(false), which TaskGroup, with_timeout and hop() set, Asio itself would start the wait
// and never end it.
asio::awaitable<bool> is_cancelled();

}  // namespace holdfast
