// queue/sqlite_thread.h — threads for work that blocks (SQL, files), and how a coroutine waits for it: it is
// resumed on its own executor, never on such a thread.
#pragma once

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "smtp/base/asio.h"

namespace holdfast {

// Waits for a value that another thread will give: `start` gets the function to call with it, once, from
// anywhere.
template <class T>
asio::awaitable<T> wait_for_value(std::function<void(std::function<void(T)>)> start) {
  auto initiate = [](auto handler, std::function<void(std::function<void(T)>)> begin) {
    using Handler = decltype(handler);
    auto shared = std::make_shared<Handler>(std::move(handler));
    // Keeps the waiting worker's run() from returning.
    auto executor =
        asio::prefer(asio::get_associated_executor(*shared), asio::execution::outstanding_work.tracked);
    begin([shared, executor](T value) mutable {
      auto resume = [shared, kept = std::move(value)]() mutable { std::move (*shared)(std::move(kept)); };
      asio::post(executor, std::move(resume));
    });
  };
  co_return co_await asio::async_initiate<const asio::use_awaitable_t<>&, void(T)>(
      initiate, asio::use_awaitable, std::move(start));
}

// Runs jobs in the order in which they came, on one thread or several.
class JobThreads {
 public:
  explicit JobThreads(unsigned threads);
  ~JobThreads();  // finishes what was posted
  JobThreads(const JobThreads&) = delete;
  JobThreads& operator=(const JobThreads&) = delete;

  void post(std::function<void()> job);

  template <class T>
  asio::awaitable<T> call(std::function<T()> job) {
    return wait_for_value<T>([this, job = std::move(job)](std::function<void(T)> done) {
      post([job, done = std::move(done)] { done(job()); });
    });
  }

 private:
  void work();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace holdfast
