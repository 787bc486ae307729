#include "smtp/base/workers.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <stdexcept>
#include <thread>
#include <vector>

namespace holdfast {
namespace {

// An io_context with its one thread.
struct Worker {
  asio::io_context context{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
  std::thread thread{[this] { context.run(); }};

  void stop() {
    work.reset();
    context.stop();
    if (thread.joinable()) thread.join();
  }
};

}  // namespace

struct Workers::Impl {
  std::vector<std::unique_ptr<Worker>> workers;
  Worker shared;
  asio::thread_pool blocking;

  explicit Impl(unsigned blocking_threads) : blocking(blocking_threads) {}
};

Workers::Workers(unsigned threads, unsigned blocking_threads) {
  if (threads == 0 || blocking_threads == 0)
    throw std::invalid_argument("Workers: at least one thread of each kind");
  impl_ = std::make_unique<Impl>(blocking_threads);
  for (unsigned i = 0; i < threads; ++i) impl_->workers.push_back(std::make_unique<Worker>());
}

Workers::~Workers() { stop(); }

std::size_t Workers::size() const { return impl_->workers.size(); }
Executor Workers::worker(std::size_t index) const { return impl_->workers.at(index)->context.get_executor(); }
Executor Workers::shared() const { return impl_->shared.context.get_executor(); }
Executor Workers::blocking() const { return impl_->blocking.get_executor(); }

// All threads have ended before the first context is destroyed: what is left in one may refer to another.
void Workers::stop() {
  impl_->blocking.stop();
  impl_->blocking.join();
  for (auto& worker : impl_->workers) worker->stop();
  impl_->shared.stop();
}

}  // namespace holdfast
