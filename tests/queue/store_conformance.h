// tests/queue/store_conformance.h — the rules of queue/store.h as tests that every engine passes.
//
// An engine's factory makes a StoreUnderTest; store_conformance_test.cc holds the tests and the list of
// engines.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "queue/store.h"
#include "smtp/base/random.h"
#include "smtp/server/quota.h"

namespace holdfast {

// Runs one coroutine to its end on the calling thread, as a session on a worker would.
template <class T>
T run_to_end(asio::awaitable<T> op) {
  asio::io_context io(1);
  std::optional<T> result;
  std::exception_ptr failure;
  auto keep = [](asio::awaitable<T> inner, std::optional<T>* into) -> asio::awaitable<void> {
    into->emplace(co_await std::move(inner));
  };
  asio::co_spawn(io, keep(std::move(op), &result), [&](std::exception_ptr thrown) { failure = thrown; });
  io.run();
  if (failure) std::rethrow_exception(failure);
  return std::move(*result);
}

inline void run_to_end(asio::awaitable<void> op) {
  asio::io_context io(1);
  std::exception_ptr failure;
  asio::co_spawn(io, std::move(op), [&](std::exception_ptr thrown) { failure = thrown; });
  io.run();
  if (failure) std::rethrow_exception(failure);
}

// A clock whose hands the test moves; its timers never fire, since no engine waits by one.
class HandClock final : public Clock {
 public:
  SteadyTime now() const override { return SteadyTime(std::chrono::hours(1)) + moved_.load(); }
  WallTime wall() const override {
    return WallTime(std::chrono::seconds(1'790'000'000)) +
           std::chrono::floor<std::chrono::microseconds>(moved_.load());
  }
  std::unique_ptr<Timer> make_timer(Executor) override;
  void advance(Duration time) { moved_ = moved_.load() + time; }

 private:
  std::atomic<Duration> moved_ = Duration(0);
};

class StoreUnderTest {
 public:
  virtual ~StoreUnderTest() = default;
  virtual Store& store() = 0;
  virtual Quota& quota() = 0;
  virtual HandClock& clock() = 0;
  virtual bool durable() const = 0;
  virtual void reopen() = 0;  // closes and opens again; only when durable()
};

struct StoreEngine {
  std::string name;
  std::function<std::unique_ptr<StoreUnderTest>()> make;
};

// What most tests do, in few words.
class StoreTest {
 public:
  explicit StoreTest(StoreUnderTest& under_test) : under_test_(under_test), random_(make_system_random()) {}

  Store& store() { return under_test_.store(); }
  WallTime now() { return under_test_.clock().wall(); }

  Accept message(std::vector<std::string> recipients,
                 const std::string& body = "Subject: x\r\n\r\nHello\r\n");
  Result<ApplyResult> apply(Batch batch) { return run_to_end(store().apply(std::move(batch))); }
  Result<Accepted> accept(Accept accept);
  std::vector<Claim> claim(std::vector<std::string> domains, std::size_t n = 100,
                           Duration lease = std::chrono::minutes(1));
  std::vector<DueDomain> due();
  // The whole content of a message, or its error.
  Result<std::string> content(QueueId id);
  std::vector<QueueRow> list(QueueFilter filter = {}) {
    return run_to_end(store().list(std::move(filter))).value();
  }
  Result<ApplyResult> complete(const Claim& claim, RecipientState state = RecipientState::delivered);
  Result<ApplyResult> defer(const Claim& claim, WallTime next);
  Result<ApplyResult> change(OperatorChange::What what, std::vector<RecipientId> recipients);

 private:
  StoreUnderTest& under_test_;
  std::unique_ptr<Random> random_;
};

}  // namespace holdfast
