// smtp/base/deadline.h — one timer for all the deadlines of a stream.
//
// A session moves its deadline with every command. So the timer is left alone while the deadline moves later:
// it fires early, sees that, and is armed again for what is then left.
#pragma once

#include <functional>
#include <memory>

#include "smtp/base/clock.h"

namespace holdfast {

class Deadline {
 public:
  // `passed` is called once per set() at most, on `executor`; not after destruction.
  Deadline(Clock& clock, Executor executor, std::function<void()> passed);
  void set(SteadyTime at);
  void clear();

 private:
  void arm(SteadyTime at);
  void fired();

  Clock& clock_;
  std::function<void()> passed_;
  SteadyTime at_ = SteadyTime::max();
  SteadyTime armed_ = SteadyTime::max();  // max: the timer is not armed
  std::unique_ptr<Timer> timer_;
};

}  // namespace holdfast
