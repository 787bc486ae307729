#include "smtp/base/clock.h"

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/steady_timer.hpp>
#include <utility>

#include "smtp/base/notifier.h"

namespace holdfast {
namespace {

class SystemTimer final : public Timer {
 public:
  explicit SystemTimer(Executor executor) : state_(std::make_shared<State>(std::move(executor))) {}
  ~SystemTimer() override { cancel(); }

  void arm(SteadyTime at, std::function<void()> done) override {
    const auto generation = ++state_->generation;
    state_->done = std::move(done);
    state_->timer.expires_at(std::chrono::time_point_cast<std::chrono::steady_clock::duration>(at));
    state_->timer.async_wait([state = state_, generation](boost::system::error_code error) {
      // A handler that was already queued when the timer was re-armed or cancelled comes with success.
      if (error || state->generation != generation) return;
      if (auto call = std::exchange(state->done, nullptr)) call();
    });
  }

  void cancel() override {
    ++state_->generation;
    state_->done = nullptr;
    state_->timer.cancel();
  }

 private:
  struct State {
    explicit State(Executor executor) : timer(std::move(executor)) {}
    asio::steady_timer timer;
    std::uint64_t generation = 0;
    std::function<void()> done;
  };
  std::shared_ptr<State> state_;
};

class SystemClock final : public Clock {
 public:
  SteadyTime now() const override { return std::chrono::steady_clock::now(); }
  WallTime wall() const override {
    return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
  }
  std::unique_ptr<Timer> make_timer(Executor executor) override {
    return std::make_unique<SystemTimer>(std::move(executor));
  }
};

}  // namespace

std::unique_ptr<Clock> make_system_clock() { return std::make_unique<SystemClock>(); }

asio::awaitable<bool> sleep_until(Clock& clock, SteadyTime at) {
  auto executor = co_await asio::this_coro::executor;
  Notifier notifier;
  bool fired = false;
  auto timer =
      clock.make_timer(executor);  // destroyed first, so that its callback never meets a dead notifier
  timer->arm(at, [&fired, &notifier] {
    fired = true;
    notifier.notify();
  });
  while (!fired) {
    const bool notified = co_await notifier.wait();
    if (!notified) co_return false;
  }
  co_return true;
}

asio::awaitable<bool> sleep_for(Clock& clock, Duration time) {
  return sleep_until(clock, clock.now() + time);
}

}  // namespace holdfast
