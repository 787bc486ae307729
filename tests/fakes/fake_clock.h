// tests/fakes/fake_clock.h — time that moves when the test says so.
#pragma once

#include <memory>

#include "smtp/base/clock.h"

namespace holdfast {

// Thread-safe. Outlives every timer made from it.
class FakeClock final : public Clock {
 public:
  // Steady time starts one hour in, the wall at the given time.
  explicit FakeClock(WallTime wall = std::chrono::sys_days(std::chrono::year(2026) / 3 / 1));
  ~FakeClock() override;

  SteadyTime now() const override;
  WallTime wall() const override;
  std::unique_ptr<Timer> make_timer(Executor executor) override;

  // Moves both readings; due timers are posted to their executors in the order of their times.
  void advance(Duration time);
  // To the earliest armed timer, which is posted; false when none is armed.
  bool advance_to_next();
  // The wall alone, as when an operator sets the system's clock.
  void jump_wall(Duration by);
  void set_wall(WallTime to);

  std::size_t armed() const;        // timers waiting now
  std::size_t times_armed() const;  // calls to Timer::arm so far

 private:
  class FakeTimer;
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace holdfast
