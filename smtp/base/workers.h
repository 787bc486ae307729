// smtp/base/workers.h — the threads: N workers, one thread for shared services, a small pool for blocking
// work.
//
// Each worker is one io_context with one thread; sessions, deliveries and their connections stay on it and
// never lock. Shared services (scheduler, policy cache, DNS cache, ledger) live on `shared()`. Cross from one
// executor to another only by co_spawn(other, job, use_awaitable).
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "smtp/base/asio.h"

namespace holdfast {

class Workers {
 public:
  // Starts the threads at once. threads >= 1; blocking_threads >= 1.
  Workers(unsigned threads, unsigned blocking_threads);
  ~Workers();  // as stop()
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  std::size_t size() const;
  Executor worker(std::size_t index) const;
  Executor shared() const;
  Executor blocking() const;  // for password hashing, file reads and the like: never for I/O that can wait

  // Ends all threads once their current handlers have returned. Drain the task groups first.
  void stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast
