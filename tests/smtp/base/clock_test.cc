#include "smtp/base/clock.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include "tests/fakes/run.h"

namespace holdfast {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(SystemClock, CallsBackOnceItsTimeHasCome) {
  asio::io_context context;
  const auto clock = make_system_clock();
  const auto timer = clock->make_timer(context.get_executor());
  int calls = 0;
  const auto start = clock->now();
  timer->arm(start + milliseconds(5), [&] { ++calls; });
  context.run();
  EXPECT_EQ(calls, 1);
  EXPECT_GE(clock->now() - start, milliseconds(5));
}

TEST(SystemClock, DoesNotCallBackWhatWasReplacedOrCancelled) {
  asio::io_context context;
  const auto clock = make_system_clock();
  const auto timer = clock->make_timer(context.get_executor());
  auto other = clock->make_timer(context.get_executor());
  std::string calls;
  timer->arm(clock->now(), [&] { calls += "replaced "; });
  timer->arm(clock->now(), [&] { calls += "second "; });
  other->arm(clock->now(), [&] { calls += "destroyed "; });
  other.reset();
  context.run();
  EXPECT_EQ(calls, "second ");
  timer->arm(clock->now(), [&] { calls += "cancelled "; });
  timer->cancel();
  context.restart();
  context.run();
  EXPECT_EQ(calls, "second ");
}

TEST(SystemClock, MayBeArmedAgainFromItsCallback) {
  asio::io_context context;
  const auto clock = make_system_clock();
  const auto timer = clock->make_timer(context.get_executor());
  int calls = 0;
  std::function<void()> again = [&] {
    if (++calls < 3) timer->arm(clock->now(), again);
  };
  timer->arm(clock->now(), again);
  context.run();
  EXPECT_EQ(calls, 3);
}

TEST(FakeClock, FiresTimersInTheOrderOfTheirTimes) {
  asio::io_context context;
  FakeClock clock;
  const auto late = clock.make_timer(context.get_executor());
  const auto early = clock.make_timer(context.get_executor());
  const auto never = clock.make_timer(context.get_executor());
  std::string calls;
  late->arm(clock.now() + seconds(2), [&] { calls += "late "; });
  early->arm(clock.now() + seconds(1), [&] { calls += "early "; });
  never->arm(clock.now() + seconds(9), [&] { calls += "never "; });
  clock.advance(seconds(5));
  settle(context);
  EXPECT_EQ(calls, "early late ");
  EXPECT_EQ(clock.armed(), 1U);
}

TEST(FakeClock, DoesNotCallBackATimerDestroyedAfterItFired) {
  asio::io_context context;
  FakeClock clock;
  auto timer = clock.make_timer(context.get_executor());
  bool called = false;
  timer->arm(clock.now() + seconds(1), [&] { called = true; });
  clock.advance(seconds(1));
  timer.reset();
  settle(context);
  EXPECT_FALSE(called);
}

TEST(Sleep, EndsAtItsTime) {
  FakeClock clock;
  const auto start = clock.now();
  EXPECT_TRUE(run(clock, sleep_for(clock, hours(5))));
  EXPECT_EQ(clock.now() - start, hours(5));
}

TEST(Timeline, FollowsTheSteadyClockThroughJumpsOfTheWall) {
  FakeClock clock;
  const Timeline timeline(clock);
  const auto start = timeline.now();
  EXPECT_EQ(start, clock.wall());
  clock.jump_wall(hours(24 * 365));
  clock.advance(seconds(30));
  EXPECT_EQ(timeline.now(), start + seconds(30));
  EXPECT_EQ(timeline.to_steady(start + seconds(30)), clock.now());
}

}  // namespace
}  // namespace holdfast
