#include "smtp/base/task_group.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <set>
#include <stdexcept>
#include <thread>

#include "smtp/base/base_error.h"
#include "smtp/base/hop.h"
#include "smtp/base/notifier.h"
#include "smtp/base/timeout.h"
#include "smtp/base/workers.h"
#include "tests/fakes/run.h"

namespace holdfast {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

asio::awaitable<void> sleeper(FakeClock& clock, Duration time, std::string& log) {
  const bool whole = co_await sleep_for(clock, time);
  // What waits after the cancellation ends as well, and nothing is thrown.
  const bool again = co_await sleep_for(clock, time);
  log += whole && again ? "slept " : "stopped ";
}

asio::awaitable<void> thrower() {
  throw std::runtime_error("a bug");
  co_return;
}

TEST(TaskGroup, StopsItsChildrenAndDrains) {
  asio::io_context context;
  FakeClock clock;
  std::string log;
  TaskGroup group(context.get_executor(), [&](std::string what) { log += what; });
  EXPECT_TRUE(group.spawn(sleeper(clock, hours(1), log)));
  EXPECT_TRUE(group.spawn(sleeper(clock, hours(2), log)));
  settle(context);
  EXPECT_EQ(group.size(), 2U);
  group.stop();
  run(context, group.drained());
  EXPECT_EQ(log, "stopped stopped ");
  EXPECT_EQ(group.size(), 0U);
  EXPECT_EQ(clock.armed(), 0U);
}

TEST(TaskGroup, TakesNoChildOnceItStops) {
  asio::io_context context;
  FakeClock clock;
  std::string log;
  TaskGroup group(context.get_executor(), {});
  group.stop();
  EXPECT_FALSE(group.spawn(sleeper(clock, hours(1), log)));
  run(context, group.drained());
}

TEST(TaskGroup, StopsAChildThatHasNotRunYet) {
  asio::io_context context;
  FakeClock clock;
  std::string log;
  TaskGroup group(context.get_executor(), [&](std::string what) { log += what; });
  group.spawn(sleeper(clock, hours(1), log));
  group.stop();
  run(context, group.drained());
  EXPECT_EQ(log, "stopped ");
}

TEST(TaskGroup, TellsOfAnException) {
  asio::io_context context;
  std::string told;
  TaskGroup group(context.get_executor(), [&](std::string what) { told = std::move(what); });
  group.spawn(thrower());
  run(context, group.drained());
  EXPECT_EQ(told, "a bug");
}

asio::awaitable<Result<int>> answer_after(FakeClock& clock, Duration time) {
  const bool whole = co_await sleep_for(clock, time);
  if (!whole) co_return BaseError::closed;
  co_return 42;
}

asio::awaitable<Result<std::unique_ptr<int>>> fail_with_bug() {
  throw std::runtime_error("a bug");
  co_return nullptr;
}

TEST(WithTimeout, GivesTheResultThatCameInTime) {
  FakeClock clock;
  EXPECT_EQ(*run(clock, with_timeout(clock, seconds(10), answer_after(clock, seconds(9)))), 42);
  EXPECT_EQ(clock.armed(), 0U);
}

TEST(WithTimeout, EndsWhatTakesLonger) {
  FakeClock clock;
  const auto start = clock.now();
  const auto result = run(clock, with_timeout(clock, seconds(10), answer_after(clock, seconds(11))));
  EXPECT_TRUE(result.error().is(BaseError::timed_out));
  EXPECT_EQ(clock.now() - start, seconds(10));
}

TEST(WithTimeout, LetsABugThrough) {
  FakeClock clock;
  EXPECT_THROW(run(clock, with_timeout(clock, seconds(10), fail_with_bug())), std::runtime_error);
}

asio::awaitable<void> note_limited(FakeClock& clock, std::string& log) {
  auto op = with_timeout(clock, hours(2), answer_after(clock, hours(1)));
  const auto result = co_await with_timeout(clock, hours(3), std::move(op));
  log = result ? "answered" : result.error().text();
}

TEST(WithTimeout, PassesTheCancellationOfItsCallerOn) {
  asio::io_context context;
  FakeClock clock;
  std::string log;
  TaskGroup group(context.get_executor(), [&](std::string what) { log += what; });
  group.spawn(note_limited(clock, log));
  settle(context);
  EXPECT_EQ(clock.armed(), 3U);
  group.stop();
  run(context, group.drained());
  EXPECT_EQ(log, describe(BaseError::cancelled));
  EXPECT_EQ(clock.armed(), 0U);
}

asio::awaitable<void> count_notifications(Notifier& notifier, int& count) {
  for (;;) {
    const bool notified = co_await notifier.wait();
    if (!notified) co_return;
    ++count;
  }
}

TEST(Notifier, WakesAllWaitersAndLetsThemGoWhenItGoes) {
  asio::io_context context;
  auto notifier = std::make_unique<Notifier>();
  int count = 0;
  TaskGroup group(context.get_executor(), {});
  group.spawn(count_notifications(*notifier, count));
  group.spawn(count_notifications(*notifier, count));
  settle(context);
  notifier->notify();
  settle(context);
  EXPECT_EQ(count, 2);
  // A notification that crosses a cancellation completes its waiter once.
  notifier->notify();
  group.stop();
  run(context, group.drained());
  EXPECT_EQ(count, 4);
}

asio::awaitable<std::thread::id> where() { co_return std::this_thread::get_id(); }

asio::awaitable<bool> hops_and_returns(Executor there) {
  const auto before = std::this_thread::get_id();
  const auto other = co_await hop(there, where());
  co_return other != before&& std::this_thread::get_id() == before;
}

TEST(Workers, EachRunOnAThreadOfTheirOwn) {
  asio::io_context context;
  Workers workers(2, 1);
  const auto from = [&](Executor executor) { return run(context, hop(executor, where())); };
  const std::set<std::thread::id> ids{from(workers.worker(0)), from(workers.worker(1)),
                                      from(workers.shared()), from(workers.blocking()),
                                      std::this_thread::get_id()};
  EXPECT_EQ(ids.size(), 5U);
  EXPECT_EQ(from(workers.worker(0)), from(workers.worker(0)));
  EXPECT_TRUE(run(context, hop(workers.worker(0), hops_and_returns(workers.worker(1)))));
}

asio::awaitable<bool> sleep_there(Executor there, Clock& clock) {
  co_return co_await hop(there, sleep_for(clock, hours(1)));
}

asio::awaitable<void> note_sleep(Executor there, Clock& clock, bool& slept, bool& ended) {
  slept = co_await sleep_there(there, clock);
  ended = true;
}

TEST(Hop, PassesACancellationOnToTheOtherExecutor) {
  const auto clock = make_system_clock();
  asio::io_context context;
  Workers workers(1, 1);
  bool slept = true, ended = false;
  std::string error;
  TaskGroup group(context.get_executor(), [&](std::string what) { error = std::move(what); });
  group.spawn(note_sleep(workers.worker(0), *clock, slept, ended));
  settle(context);
  group.stop();
  run(context, group.drained());
  EXPECT_TRUE(ended);
  EXPECT_FALSE(slept);
  EXPECT_EQ(error, "");
}

}  // namespace
}  // namespace holdfast
