// smtp/server/interruptible.h — a coroutine that can be cancelled for itself, without its caller.
#pragma once

#include <boost/asio/cancellation_signal.hpp>

#include "smtp/base/asio.h"

namespace holdfast {

// Runs one coroutine at a time, on the caller's executor; outlives it.
class Interruptible {
 public:
  // Returns once `job` has ended; its exceptions come out. It sees a cancellation, also one of the caller, as
  // a result of what it waits for.
  asio::awaitable<void> run(asio::awaitable<void> job);
  void interrupt();  // nothing when nothing runs
  bool running() const { return running_; }

 private:
  asio::cancellation_signal signal_;
  bool running_ = false;
};

}  // namespace holdfast
