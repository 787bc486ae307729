#include "smtp/server/volume_watch.h"

#include <gtest/gtest.h>

#include "tests/fakes/fake_clock.h"

namespace holdfast {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

constexpr unsigned kFactor = 5;

class VolumeWatchTest : public testing::Test {
 protected:
  std::optional<VolumeWatch::Unusual> send(std::uint64_t recipients, const std::string& user = "app") {
    return watch_.count(user, recipients, kFactor, clock_.now());
  }
  // Lets the first day pass, of which little is known.
  void a_day_later() { clock_.advance(hours(24)); }

  FakeClock clock_;
  VolumeWatch watch_{clock_.now()};
};

TEST_F(VolumeWatchTest, TellsOnceAnHourThatAUserSendsManyTimesWhatItUsedTo) {
  a_day_later();
  EXPECT_FALSE(send(60));
  clock_.advance(hours(1));
  EXPECT_FALSE(send(300)) << "five times the busiest hour is still usual";
  const auto unusual = send(1);
  ASSERT_TRUE(unusual);
  EXPECT_EQ(unusual->recipients, 301U);
  EXPECT_EQ(unusual->busiest, 60U);
  EXPECT_FALSE(send(5000)) << "told already in this hour";
  clock_.advance(hours(1));
  EXPECT_FALSE(send(5301)) << "what was told counts as usual";
}

TEST_F(VolumeWatchTest, LooksAtEachUserAlone) {
  a_day_later();
  send(60, "other");
  EXPECT_FALSE(send(VolumeWatch::kFloor, "app"));
  EXPECT_TRUE(send(1, "app")) << "a user that never sent has no busy hour";
  EXPECT_FALSE(send(1, "other"));
}

TEST_F(VolumeWatchTest, SaysNothingOfSmallNumbers) {
  a_day_later();
  send(1);
  clock_.advance(hours(1));
  EXPECT_FALSE(send(VolumeWatch::kFloor));
}

TEST_F(VolumeWatchTest, IsPatientInItsFirstDay) {
  EXPECT_FALSE(send(VolumeWatch::kFloorOfFirstDay));
  EXPECT_TRUE(send(1));
}

TEST_F(VolumeWatchTest, RemembersTheBusiestHourForSevenDays) {
  a_day_later();
  send(80);
  clock_.advance(hours(24 * 6));
  EXPECT_FALSE(send(400)) << "the hour of six days ago counts";
  clock_.advance(hours(24 * 8));
  EXPECT_TRUE(send(101)) << "both are too long ago";
}

TEST_F(VolumeWatchTest, CountsAnHourFromItsBeginning) {
  a_day_later();
  clock_.advance(minutes(59));
  EXPECT_FALSE(send(100));
  clock_.advance(minutes(1));
  EXPECT_FALSE(send(100)) << "another hour";
}

TEST_F(VolumeWatchTest, CanBeOff) {
  a_day_later();
  EXPECT_FALSE(watch_.count("app", 1'000'000, 0, clock_.now()));
}

}  // namespace
}  // namespace holdfast
