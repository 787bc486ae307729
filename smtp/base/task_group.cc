#include "smtp/base/task_group.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>
#include <cstdio>
#include <cstdlib>
#include <list>
#include <utility>
#include <vector>

#include "smtp/base/notifier.h"

namespace holdfast {

struct TaskGroup::State {
  State(Executor where, std::function<void(std::string)> report)
      : executor(std::move(where)), on_exception(std::move(report)) {}

  Executor executor;
  std::function<void(std::string)> on_exception;
  std::list<std::shared_ptr<asio::cancellation_signal>> children;
  bool stopping = false;
  Notifier empty;

  void report(std::exception_ptr exception) {
    try {
      std::rethrow_exception(exception);
    } catch (const boost::system::system_error& error) {
      if (stopping && error.code() == asio::error::operation_aborted)
        return;  // how Asio says that it was stopped
      if (on_exception) on_exception(error.what());
    } catch (const std::exception& error) {
      if (on_exception) on_exception(error.what());
    } catch (...) {
      if (on_exception) on_exception("an exception of unknown type");
    }
  }
};

namespace {

// Cancellation shows as a result of what is waited for, never as an exception out of co_await.
asio::awaitable<void> run_child(asio::awaitable<void> task) {
  co_await asio::this_coro::throw_if_cancelled(false);
  co_await std::move(task);
}

}  // namespace

TaskGroup::TaskGroup(Executor executor, std::function<void(std::string)> on_exception)
    : state_(std::make_shared<State>(std::move(executor), std::move(on_exception))) {}

TaskGroup::~TaskGroup() {
  if (state_->children.empty()) return;
  // What the children refer to is about to go away; going on would corrupt memory.
  std::fputs("holdfast: a task group was destroyed before its tasks had ended\n", stderr);
  std::abort();
}

bool TaskGroup::spawn(asio::awaitable<void> task) {
  if (state_->stopping) return false;
  auto signal = std::make_shared<asio::cancellation_signal>();
  const auto place = state_->children.insert(state_->children.end(), signal);
  auto done = [state = state_, place, signal](std::exception_ptr exception) {
    state->children.erase(place);
    if (exception) state->report(exception);
    if (state->children.empty()) state->empty.notify();
  };
  asio::co_spawn(state_->executor, run_child(std::move(task)),
                 asio::bind_cancellation_slot(signal->slot(), std::move(done)));
  return true;
}

void TaskGroup::stop() {
  if (std::exchange(state_->stopping, true)) return;
  // Copied: a child may end, and leave the list, while it is told.
  const std::vector<std::shared_ptr<asio::cancellation_signal>> all(state_->children.begin(),
                                                                    state_->children.end());
  for (const auto& signal : all) signal->emit(asio::cancellation_type::terminal);
}

bool TaskGroup::stopping() const { return state_->stopping; }
std::size_t TaskGroup::size() const { return state_->children.size(); }

asio::awaitable<void> TaskGroup::drained() {
  auto state = state_;
  while (!state->children.empty()) co_await state->empty.wait_through_cancellation();
}

}  // namespace holdfast
