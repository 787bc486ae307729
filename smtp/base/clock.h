// smtp/base/clock.h — the only source of time and of timers, so that tests and the simulation own both.
//
// Two readings: `now` never jumps and is for deadlines and back-off within this run; `wall` is what the
// system believes and is for dates in messages, certificates and UTC days. What is stored across restarts
// (retry and expiry times) uses Timeline, which takes the wall once and then follows `now`, so that a wall
// clock jump while the relay runs neither expires mail early nor starves it.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "smtp/base/asio.h"

namespace holdfast {

using Duration = std::chrono::nanoseconds;
using SteadyTime = std::chrono::time_point<std::chrono::steady_clock, Duration>;
using WallTime = std::chrono::sys_time<std::chrono::microseconds>;

// One pending callback at most. Used from its executor only; destroying it cancels.
class Timer {
 public:
  virtual ~Timer() = default;
  // Calls `done` on the executor once `at` has come; replaces what was pending, whose callback is not called.
  virtual void arm(SteadyTime at, std::function<void()> done) = 0;
  virtual void cancel() = 0;
};

// Thread-safe; outlives every timer made from it.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual SteadyTime now() const = 0;
  virtual WallTime wall() const = 0;
  virtual std::unique_ptr<Timer> make_timer(Executor executor) = 0;
};

// Waits until `at`. Returns false when the wait was cancelled (the task group stops); never throws.
asio::awaitable<bool> sleep_until(Clock& clock, SteadyTime at);
asio::awaitable<bool> sleep_for(Clock& clock, Duration time);

std::unique_ptr<Clock> make_system_clock();

// The timeline that stored times live on. Immutable after construction, hence thread-safe.
class Timeline {
 public:
  explicit Timeline(const Clock& clock)
      : clock_(clock), wall_base_(clock.wall()), steady_base_(clock.now()) {}
  WallTime now() const {
    return wall_base_ + std::chrono::floor<std::chrono::microseconds>(clock_.now() - steady_base_);
  }
  SteadyTime to_steady(WallTime at) const { return steady_base_ + (at - wall_base_); }

 private:
  const Clock& clock_;
  WallTime wall_base_;
  SteadyTime steady_base_;
};

}  // namespace holdfast
