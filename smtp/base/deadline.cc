#include "smtp/base/deadline.h"

#include <utility>

namespace holdfast {

Deadline::Deadline(Clock& clock, Executor executor, std::function<void()> passed)
    : clock_(clock), passed_(std::move(passed)), timer_(clock.make_timer(std::move(executor))) {}

void Deadline::set(SteadyTime at) {
  at_ = at;
  if (at_ < armed_) arm(at_);
}

void Deadline::clear() {
  at_ = SteadyTime::max();
  armed_ = SteadyTime::max();
  timer_->cancel();
}

void Deadline::arm(SteadyTime at) {
  armed_ = at;
  timer_->arm(at, [this] { fired(); });
}

void Deadline::fired() {
  armed_ = SteadyTime::max();
  if (at_ == SteadyTime::max()) return;
  if (clock_.now() < at_) return arm(at_);
  at_ = SteadyTime::max();
  passed_();
}

}  // namespace holdfast
