// Servers that take minutes for each answer, within what RFC 5321 section 4.5.3.2 allows: they must not use
// up what all destinations share.
#include <gmock/gmock.h>

#include "tests/queue/scheduler_fixture.h"

namespace holdfast {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr int kSlow = 8;

class SlowDestinations : public SchedulerTest {
 protected:
  // Servers that are about to answer do so, to nobody, and end.
  ~SlowDestinations() override {
    relay->stop(seconds(0));
    relay->pass(minutes(6), minutes(1));
  }
  void serve_all() {
    slow.answers_after = minutes(4) + seconds(59);
    for (int i = 0; i < kSlow; ++i) {
      const std::string n = std::to_string(i);
      relay->serve(slow, "slow" + n + ".example", "mx.slow" + n + ".example", "192.0.2.1" + n);
    }
    relay->serve(mx, "well.example", "mx.well.example", "192.0.2.1");
  }
  void submit_to_all(int messages, int recipients) {
    for (int i = 0; i < messages * kSlow; ++i) {
      std::vector<std::string> to;
      for (int r = 0; r < recipients; ++r)
        to.push_back("u" + std::to_string(r) + "@slow" + std::to_string(i % kSlow) + ".example");
      relay->submit(to);
    }
  }
  TestMx slow;
};

TEST_F(SlowDestinations, LeaveRoomForAMessageToAnother) {
  boot(delivery_settings(), 1, 400);
  serve_all();
  submit_to_all(200, 1);
  relay->start();
  relay->pass(seconds(60), seconds(1));
  ASSERT_TRUE(relay->scheduler->has_room());
  run(relay->context, offer_fresh("user@well.example"));
  relay->pass(seconds(2), std::chrono::milliseconds(100));
  EXPECT_EQ(mx.taken.size(), 1U);
  relay->submit({"from-the-store@well.example"});
  relay->pass(seconds(10), seconds(1));
  EXPECT_EQ(mx.taken.size(), 2U);
  EXPECT_EQ(relay->count(RecipientState::queued), 200U * kSlow) << "nothing of the others is lost";
}

TEST_F(SlowDestinations, WithManyRecipientsAMessageLeaveRoomToo) {
  boot();
  serve_all();
  submit_to_all(41, 100);
  relay->start();
  relay->pass(seconds(60), seconds(1));
  ASSERT_TRUE(relay->scheduler->has_room());
  EXPECT_LE(relay->scheduler->in_hand(), (1 + kSlowWindows) * kSchedulerWindow + kSchedulerWindow / 4);
  run(relay->context, offer_fresh("user@well.example"));
  relay->pass(seconds(2), std::chrono::milliseconds(100));
  EXPECT_EQ(mx.taken.size(), 1U);
}

// Not given back and claimed again over and over.
TEST_F(SlowDestinations, KeepAboutWhatTheyTake) {
  boot();
  serve_all();
  slow.answers_after = seconds(1);
  submit_to_all(1000, 1);
  relay->start();
  relay->pass(minutes(1), seconds(1));
  const std::uint64_t before = relay->store.applied();
  const std::size_t had = slow.taken.size();
  relay->pass(minutes(1), seconds(1));
  const std::size_t delivered = slow.taken.size() - had;
  EXPECT_GT(delivered, 500U);
  EXPECT_TRUE(relay->scheduler->has_room());
  EXPECT_LT(relay->store.applied() - before, 3 * delivered);
}

TEST_F(SlowDestinations, HaveTheirMailInTheEnd) {
  boot(delivery_settings(), 1, 400);
  serve_all();
  slow.answers_after = seconds(20);
  submit_to_all(60, 1);
  relay->start();
  relay->pass(std::chrono::hours(4), seconds(5));
  EXPECT_EQ(slow.taken.size(), 60U * kSlow);
  EXPECT_EQ(relay->count(RecipientState::delivered), 60U * kSlow);
  EXPECT_EQ(relay->scheduler->in_hand(), 0U);
}

}  // namespace
}  // namespace holdfast
