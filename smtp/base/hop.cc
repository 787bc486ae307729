#include "smtp/base/hop.h"

#include <boost/asio/async_result.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "smtp/base/notifier.h"

namespace holdfast::detail {
namespace {

// Used on the job's thread only, but for the initial post.
struct Job {
  explicit Job(asio::awaitable<void> what) : task(std::move(what)) {}
  asio::awaitable<void> task;
  asio::cancellation_signal signal;
  bool ended = false;
};

// Used on the caller's thread only.
struct Caller {
  Notifier done;
  bool ended = false;
};

}  // namespace

asio::awaitable<void> hop_and_wait(Executor to, asio::awaitable<void> task) {
  co_await asio::this_coro::throw_if_cancelled(false);
  const Executor home = co_await asio::this_coro::executor;
  auto cancellation = co_await asio::this_coro::cancellation_state;
  auto job = std::make_shared<Job>(std::move(task));
  auto caller = std::make_shared<Caller>();

  // Spawned on its own thread, so that all of Asio's cancellation machinery of the job lives there.
  asio::post(to, [to, home, job, caller] {
    auto ended = [home, job, caller](std::exception_ptr) {
      job->ended = true;
      asio::post(home, [caller] {
        caller->ended = true;
        caller->done.notify();
      });
    };
    asio::co_spawn(to, std::move(job->task),
                   asio::bind_cancellation_slot(job->signal.slot(), std::move(ended)));
  });
  const bool stopped = cancellation.cancelled() != asio::cancellation_type::none;
  auto stop = [to, job](asio::cancellation_type) {
    asio::post(to, [job] {
      if (!job->ended) job->signal.emit(asio::cancellation_type::terminal);
    });
  };
  auto slot = cancellation.slot();
  if (stopped) {
    stop(asio::cancellation_type::terminal);
  } else if (slot.is_connected()) {
    slot.assign(stop);
  }
  while (!caller->ended) co_await caller->done.wait_through_cancellation();
  if (!stopped && slot.is_connected()) slot.clear();
}

}  // namespace holdfast::detail
