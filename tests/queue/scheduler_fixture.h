// tests/queue/scheduler_fixture.h — the whole sending side (delivery_fixture.h), seen from its scheduler.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/queue/delivery_fixture.h"

namespace holdfast {

class SchedulerTest : public ::testing::Test {
 protected:
  void boot(Settings settings = delivery_settings(), unsigned workers = 1,
            std::size_t window = kSchedulerWindow, Duration gather = Duration(0)) {
    relay = std::make_unique<DeliveryFixture>(std::move(settings), workers, 1, window, gather);
  }
  DestinationStatus status(const std::string& name) {
    for (auto& d : run(relay->context, relay->scheduler->destinations()))
      if (d.name == name) return d;
    return {};
  }
  // As intake does it: taken in claimed, and offered.
  asio::awaitable<void> offer_fresh(std::string to) {
    relay->scheduler->offer(co_await take_fresh(std::move(to)));
  }
  asio::awaitable<std::vector<Claim>> take_fresh(std::string to) {
    Batch batch;
    Accept& accept = batch.accept.emplace_back();
    accept.meta.id = QueueId::make(relay->clock.wall(), relay->random);
    accept.meta.accepted = accept.meta.release = relay->timeline.now();
    accept.meta.expires = relay->timeline.now() + std::chrono::hours(1);
    accept.prefix = "Subject: fresh\r\n\r\n";
    accept.recipients.push_back({Mailbox::parse(to).value(), {}});
    accept.claim = relay->scheduler->has_room();
    EXPECT_TRUE(accept.claim);
    auto applied = co_await relay->store.apply(std::move(batch));
    co_return std::move(applied->accepted.front().claims);
  }
  template <class F>
  void submit_many(int n, F address, MessageOptions options = {}) {
    for (int i = 0; i < n; ++i) relay->submit({address(i)}, options);
  }
  TestMx mx, other;
  std::unique_ptr<DeliveryFixture> relay;
};

}  // namespace holdfast
