#include "smtp/base/queue_id.h"

#include <gtest/gtest.h>

#include <set>

namespace holdfast {
namespace {

const WallTime kNow = std::chrono::sys_days(std::chrono::year(2026) / 11 / 21);

TEST(QueueId, IsReadBackFromItsText) {
  const auto random = make_system_random();
  for (int i = 0; i < 1000; ++i) {
    const auto id = QueueId::make(kNow, *random);
    const auto text = id.text();
    ASSERT_EQ(text.size(), 26U);
    ASSERT_EQ(QueueId::parse(text), id);
  }
}

TEST(QueueId, SortsByTimeAsBytesAndAsText) {
  const auto random = make_system_random();
  const auto earlier = QueueId::make(kNow, *random);
  const auto later = QueueId::make(kNow + std::chrono::milliseconds(1), *random);
  EXPECT_LT(earlier, later);
  EXPECT_LT(earlier.text(), later.text());
}

TEST(QueueId, IsReadInAnyCaseAndWithTheUsualSlips) {
  QueueId id;
  id.bytes.fill(0x21);
  std::string text = id.text();
  for (char& c : text) {
    if (c == '1') c = 'l';
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  EXPECT_EQ(QueueId::parse(text), id);
}

TEST(QueueId, WritesItsExtremes) {
  QueueId id;
  EXPECT_EQ(id.text(), std::string(26, '0'));
  id.bytes.fill(0xff);
  EXPECT_EQ(id.text(), "7" + std::string(25, 'Z'));
}

TEST(QueueId, RefusesOtherText) {
  for (const char* text :
       {"", "0", "80000000000000000000000000", "0000000000000000000000000U", "000000000000000000000000000"}) {
    EXPECT_FALSE(QueueId::parse(text)) << text;
  }
}

TEST(Random, GivesDifferentNumbersWithinItsBounds) {
  const auto random = make_system_random();
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 1000; ++i) {
    seen.insert(random->next());
    EXPECT_LT(random->below(7), 7U);
    const double unit = random->unit();
    EXPECT_GE(unit, 0.0);
    EXPECT_LT(unit, 1.0);
  }
  EXPECT_EQ(seen.size(), 1000U);
  EXPECT_EQ(random->below(0), 0U);
  EXPECT_EQ(random->below(1), 0U);
}

}  // namespace
}  // namespace holdfast
