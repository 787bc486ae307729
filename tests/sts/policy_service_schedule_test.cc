// The proactive refresh under load: names that never answer, policy hosts that hang, much that falls due at
// once.
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "tests/sts/policy_service_fixture.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;

std::string numbered(const std::string& word, int i) { return word + std::to_string(i) + ".example"; }

class PolicyScheduleTest : public PolicyServiceTest {
 protected:
  // Records below hang.example never come, until this opens.
  void let_names_hang() {
    dns_.on_query([this](std::string name, RecordType) -> asio::awaitable<void> {
      while (hanging_ && name.find("hang") != std::string::npos) {
        const bool notified = co_await answered_.wait();
        if (!notified) co_return;
      }
    });
  }
  void ask_in_background(const std::string& name) {
    const auto ask = [](PolicyService& service, DomainName of) -> asio::awaitable<void> {
      co_await service.lookup(std::move(of), false);
    };
    asio::co_spawn(context_, ask(*service_, domain(name)), asio::detached);
    settle(context_);
  }
  void stop_hanging() {
    hanging_ = false;
    answered_.notify();
    fetcher_.held = false;
    fetcher_.released.notify();
    settle(context_);
  }

  bool hanging_ = true;
  Notifier answered_;
};

TEST_F(PolicyScheduleTest, NamesThatNeverAnswerDoNotKeepPoliciesFromBeingRefreshed) {
  for (int i = 0; i < 20; ++i) {
    publish("1", numbered("kept", i));
    lookup(false, numbered("kept", i));
  }
  let_names_hang();
  for (int i = 0; i < 100; ++i) ask_in_background(numbered("hang", i));
  service_->start();
  settle(context_);
  pass(25h);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(fetcher_.count(numbered("kept", i)), 2) << i;
  stop_hanging();
}

TEST_F(PolicyScheduleTest, AllThatIsDueIsFetchedAsFastAsTheFetchesLand) {
  for (int i = 0; i < 300; ++i) {
    publish("1", numbered("kept", i));
    lookup(false, numbered("kept", i));
  }
  service_->start();
  settle(context_);
  clock_.advance(30h);  // the relay's machine slept: all fell due
  settle(context_);
  int refreshed = 0;
  for (int i = 0; i < 300; ++i) refreshed += fetcher_.count(numbered("kept", i)) == 2;
  EXPECT_EQ(refreshed, 300);
}

TEST_F(PolicyScheduleTest, WhatExpiresFirstIsFetchedFirstAndTheNextAsOneLands) {
  for (int i = 0; i < 100; ++i) {
    fetcher_.serve("enforce", "mx.example.com", std::to_string(604800 - 100 * i));
    publish("1", numbered("kept", i));
    lookup(false, numbered("kept", i));
  }
  service_->start();
  settle(context_);
  fetcher_.order.clear();
  fetcher_.held = true;
  clock_.advance(30h);
  settle(context_);
  const std::size_t at_once = fetcher_.order.size();
  EXPECT_GE(at_once, 8u);
  EXPECT_LE(at_once, 64u);
  for (std::size_t i = 0; i < at_once; ++i)
    EXPECT_EQ(fetcher_.order[i], numbered("kept", 99 - static_cast<int>(i)));
  fetcher_.held = false;
  fetcher_.released.notify();
  settle(context_);
  EXPECT_EQ(fetcher_.order.size(), 100u);
}

// A domain to which mail goes all the time, and whose record takes long: a look is nearly always under way.
TEST_F(PolicyScheduleTest, ADomainWithALookUnderWayIsRefreshedAtTheSweepAfterIt) {
  publish("1", "hang.example");
  lookup(false, "hang.example");
  let_names_hang();
  service_->start();
  settle(context_);
  clock_.advance(1min);
  settle(context_);
  ask_in_background("hang.example");
  clock_.advance(30h);
  settle(context_);
  EXPECT_EQ(fetcher_.count("hang.example"), 1);
  stop_hanging();
  pass(1min);
  EXPECT_EQ(fetcher_.count("hang.example"), 2);
}

}  // namespace
}  // namespace holdfast
