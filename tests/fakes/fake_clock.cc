#include "tests/fakes/fake_clock.h"

#include <boost/asio/post.hpp>
#include <map>
#include <mutex>
#include <utility>

namespace holdfast {
namespace {

struct Shot {
  Executor executor;
  std::function<void()> done;
  bool pending = true;  // cleared when cancelled or replaced
};

}  // namespace

struct FakeClock::State {
  std::mutex mutex;
  SteadyTime now{std::chrono::hours(1)};
  WallTime wall{};
  Duration wall_rest{0};  // what of the advances is less than a microsecond
  std::multimap<SteadyTime, std::shared_ptr<Shot>> shots;
  std::size_t times_armed = 0;

  void forget(const std::shared_ptr<Shot>& shot) {
    shot->pending = false;
    for (auto i = shots.begin(); i != shots.end(); ++i) {
      if (i->second != shot) continue;
      shots.erase(i);
      return;
    }
  }

  void move_to(SteadyTime at) {
    wall_rest += at - now;
    const auto whole = std::chrono::floor<std::chrono::microseconds>(wall_rest);
    wall += whole;
    wall_rest -= whole;
    now = at;
  }

  void fire_first() {
    const auto shot = shots.begin()->second;
    if (shots.begin()->first > now) move_to(shots.begin()->first);
    shots.erase(shots.begin());
    asio::post(shot->executor, [this, shot] {
      std::function<void()> done;
      {
        std::lock_guard lock(mutex);
        if (!std::exchange(shot->pending, false)) return;
        done = std::move(shot->done);
      }
      done();
    });
  }
};

class FakeClock::FakeTimer final : public Timer {
 public:
  FakeTimer(std::shared_ptr<State> state, Executor executor)
      : state_(std::move(state)), executor_(std::move(executor)) {}
  ~FakeTimer() override { cancel(); }

  void arm(SteadyTime at, std::function<void()> done) override {
    std::lock_guard lock(state_->mutex);
    drop();
    shot_ = std::make_shared<Shot>(Shot{executor_, std::move(done)});
    ++state_->times_armed;
    const auto place = state_->shots.emplace(at, shot_);
    if (at <= state_->now && place == state_->shots.begin()) state_->fire_first();
  }

  void cancel() override {
    std::lock_guard lock(state_->mutex);
    drop();
  }

 private:
  void drop() {
    if (shot_) state_->forget(shot_);
    shot_ = nullptr;
  }

  std::shared_ptr<State> state_;
  Executor executor_;
  std::shared_ptr<Shot> shot_;
};

FakeClock::FakeClock(WallTime wall) : state_(std::make_shared<State>()) { state_->wall = wall; }
FakeClock::~FakeClock() = default;

SteadyTime FakeClock::now() const {
  std::lock_guard lock(state_->mutex);
  return state_->now;
}

WallTime FakeClock::wall() const {
  std::lock_guard lock(state_->mutex);
  return state_->wall;
}

std::unique_ptr<Timer> FakeClock::make_timer(Executor executor) {
  return std::make_unique<FakeTimer>(state_, std::move(executor));
}

void FakeClock::advance(Duration time) {
  std::lock_guard lock(state_->mutex);
  const auto end = state_->now + time;
  while (!state_->shots.empty() && state_->shots.begin()->first <= end) state_->fire_first();
  state_->move_to(end);
}

bool FakeClock::advance_to_next() {
  std::lock_guard lock(state_->mutex);
  if (state_->shots.empty()) return false;
  state_->fire_first();
  return true;
}

void FakeClock::jump_wall(Duration by) {
  std::lock_guard lock(state_->mutex);
  state_->wall += std::chrono::floor<std::chrono::microseconds>(by);
}

void FakeClock::set_wall(WallTime to) {
  std::lock_guard lock(state_->mutex);
  state_->wall = to;
}

std::size_t FakeClock::armed() const {
  std::lock_guard lock(state_->mutex);
  return state_->shots.size();
}

std::size_t FakeClock::times_armed() const {
  std::lock_guard lock(state_->mutex);
  return state_->times_armed;
}

}  // namespace holdfast
