// smtp/base/task_group.h — the children of an object: started, counted, stopped, drained.
//
// Lives on one executor. The owner calls stop() to cancel what runs and then awaits drained() before it is
// destroyed; destroying a group with children is a bug and aborts.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "smtp/base/asio.h"

namespace holdfast {

class TaskGroup {
 public:
  // `on_exception` gets the text of an exception that left a child: a bug, to be logged.
  TaskGroup(Executor executor, std::function<void(std::string)> on_exception);
  ~TaskGroup();
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  // Starts `task` on the executor; false (and the task is dropped) once stop() was called.
  // Called on the group's executor.
  bool spawn(asio::awaitable<void> task);

  void stop();  // cancels all children; idempotent
  bool stopping() const;
  std::size_t size() const;
  asio::awaitable<void> drained();  // returns when no child is left

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace holdfast
