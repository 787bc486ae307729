#include "mta/after_restart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/schema.h"

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Settings running() {
  Settings settings = default_settings();
  settings.data_dir = "/var/lib/holdfast";
  settings.listeners.emplace_back().bind = {"::", 587};
  return settings;
}

TEST(AfterRestart, NamesNothingWhereNothingNeedsOne) {
  Settings loaded = running();
  loaded.hostname = "other.example.com";
  loaded.queue.bounce_expire = std::chrono::hours(2);
  loaded.admin.token = "exchanged";
  const auto held = hold_until_restart(running(), loaded);
  EXPECT_THAT(held.after_restart, IsEmpty());
  EXPECT_EQ(held.settings->hostname, "other.example.com");
  EXPECT_EQ(held.settings->queue.bounce_expire, std::chrono::hours(2));
  EXPECT_EQ(held.settings->admin.token, "exchanged");
}

TEST(AfterRestart, NamesEachKeyThatNeedsOneAndHoldsWhatIsRunning) {
  Settings loaded = running();
  loaded.data_dir = "/elsewhere";
  loaded.runtime.threads = 7;
  loaded.listeners[0].max_connections = 9;
  loaded.queue.engine = "other";
  loaded.queue.inline_limit += 1;
  loaded.queue.min_free_space.percent += 1;
  loaded.queue.history += std::chrono::hours(1);
  loaded.queue.history_size += 1;
  loaded.admin.socket = "/elsewhere.sock";
  loaded.admin.http.reset();
  const auto held = hold_until_restart(running(), loaded);
  EXPECT_THAT(held.after_restart, ElementsAre("data_dir", "runtime.threads", "listener", "queue.engine",
                                              "queue.inline_limit", "queue.min_free_space", "queue.history",
                                              "queue.history_size", "admin.socket", "admin.http"));
  EXPECT_THAT(hold_until_restart(running(), *held.settings).after_restart, IsEmpty());
}

TEST(AfterRestart, AnotherListenerNeedsOne) {
  Settings loaded = running();
  loaded.listeners.emplace_back().bind = {"::", 465};
  EXPECT_THAT(hold_until_restart(running(), loaded).after_restart, ElementsAre("listener"));
}

}  // namespace
}  // namespace holdfast
