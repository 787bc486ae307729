// tests/queue/store_conformance.h — the rules of queue/store.h as tests that every engine passes.
//
// An engine's factory makes a StoreUnderTest; store_conformance_test.cc holds the list of engines and some of
// the tests, the others are in store_claim_test.cc, store_end_test.cc, store_body_test.cc,
// store_operator_test.cc and store_list_test.cc.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "queue/store.h"
#include "smtp/base/random.h"
#include "smtp/server/quota.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/run.h"

namespace holdfast {

// Runs one coroutine to its end on the calling thread, as a session on a worker would. The context outlives
// every store, whose threads may still be inside a post to it when the result is here. Its guard keeps such a
// thread, when it lets go of the last work of one run, from stopping the next.
inline asio::io_context& test_context() {
  static asio::io_context context(1);
  static const auto guard = asio::make_work_guard(context);
  return context;
}

template <class T>
T run_to_end(asio::awaitable<T> op) {
  return run(test_context(), std::move(op));
}

// Runs what was spawned on the context until `done` says so.
inline void run_until(const std::function<bool()>& done) {
  test_context().restart();
  while (!done()) test_context().run_one();
}

inline Mailbox mailbox(const std::string& text) {
  const auto at = text.rfind('@');
  return make_mailbox(text.substr(0, at), text.substr(at + 1));
}

class StoreUnderTest {
 public:
  virtual ~StoreUnderTest() = default;
  virtual Store& store() = 0;
  virtual Quota& quota() = 0;
  virtual FakeClock& clock() = 0;
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

class StoreConformance : public testing::TestWithParam<StoreEngine> {
 protected:
  StoreConformance() : engine_(GetParam().make()), t_(*engine_) {}
  Store& store() { return engine_->store(); }

  std::unique_ptr<StoreUnderTest> engine_;
  StoreTest t_;
};

}  // namespace holdfast
