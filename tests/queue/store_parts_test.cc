// The pure parts below the embedded store: records, leases, the due index, token buckets, the body cache.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "queue/body_cache.h"
#include "queue/store_due.h"
#include "queue/store_leases.h"
#include "queue/store_quota.h"
#include "queue/store_record.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

const SteadyTime kStart{1h};
WallTime at(int seconds) { return WallTime(std::chrono::seconds(1'800'000'000 + seconds)); }

TEST(StoreRecord, EveryFlippedBitIsNoticed) {
  MessageMeta meta;
  meta.origin = "submission";
  meta.user = "app";
  meta.reverse_path = make_mailbox("a", "b.example");
  const std::string record = encode_meta(meta);
  ASSERT_TRUE(decode_meta(record));
  for (std::size_t bit = 0; bit < record.size() * 8; ++bit) {
    std::string damaged = record;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(decode_meta(damaged)) << bit;
  }
}

TEST(StoreRecord, EveryCutIsNoticed) {
  const std::string record =
      encode_recipient({make_mailbox("a", "b.example"), {kNotifyNever, "rfc822;a@b.example"}});
  ASSERT_TRUE(decode_recipient(record));
  for (std::size_t size = 0; size < record.size(); ++size)
    EXPECT_FALSE(decode_recipient(record.substr(0, size)));
  EXPECT_FALSE(decode_recipient(record + "x"));
}

TEST(LeaseTable, ARecipientThatIsLeavingCannotBeTaken) {
  LeaseTable leases(1);
  const ClaimToken token = leases.new_token();
  ASSERT_TRUE(leases.take(7, token, "d", kStart, kStart + 1min));
  ASSERT_TRUE(leases.leave(7, token));
  EXPECT_FALSE(leases.leave(7, token)) << "only once";
  EXPECT_FALSE(leases.take(7, leases.new_token(), "d", kStart + 2min, kStart + 3min));
  leases.undo(7);
  EXPECT_TRUE(leases.leave(7, token)) << "the commit failed: still in hand";
  leases.settle(7);
  EXPECT_TRUE(leases.take(7, leases.new_token(), "d", kStart, kStart + 1min));
}

TEST(LeaseTable, AReaderWithAnOldPictureCannotTakeWhatWasSettledMeanwhile) {
  LeaseTable leases(1);
  const ClaimToken token = leases.new_token();
  ASSERT_TRUE(leases.take(7, token, "d", kStart, kStart + 1min));
  leases.begin_read();
  ASSERT_TRUE(leases.leave(7, token));
  leases.settle(7);
  leases.seize(8);  // an operator's hold, of a recipient that nobody had in hand
  leases.settle(8);
  EXPECT_FALSE(leases.take(7, leases.new_token(), "d", kStart, kStart + 1min));
  EXPECT_FALSE(leases.take(8, leases.new_token(), "d", kStart, kStart + 1min));
  leases.end_read();
  EXPECT_TRUE(leases.take(7, leases.new_token(), "d", kStart, kStart + 1min));
}

TEST(LeaseTable, AnUndoneSeizureLeavesThingsAsTheyWere) {
  LeaseTable leases(1);
  const ClaimToken token = leases.new_token();
  ASSERT_TRUE(leases.take(7, token, "d", kStart, kStart + 1min));
  leases.seize(7);
  leases.seize(8);
  leases.undo(7);
  leases.undo(8);
  EXPECT_TRUE(leases.leave(7, token));
  EXPECT_TRUE(leases.take(8, leases.new_token(), "d", kStart, kStart + 1min));
}

TEST(LeaseTable, CountsAndForgets) {
  LeaseTable leases(1);
  const ClaimToken token = leases.new_token();
  leases.add(1, token, "d", kStart + 1min);
  leases.add(2, token, "d", kStart + 1min);
  EXPECT_EQ(leases.count("d"), 2u);
  EXPECT_TRUE(leases.expired(kStart).empty());
  EXPECT_THAT(leases.expired(kStart + 2min), ElementsAre("d"));
  EXPECT_TRUE(leases.expired(kStart + 2min).empty()) << "told once";
  ASSERT_TRUE(leases.leave(1, token));
  leases.settle(1);
  EXPECT_TRUE(leases.renew(token, kStart + 5min));
  leases.drop(2);
  EXPECT_FALSE(leases.renew(token, kStart + 5min));
  EXPECT_EQ(leases.count("d"), 0u);
}

TEST(DueIndex, TurnsByTurnAndKnowsTheNextTime) {
  DueIndex due;
  due.touch("a", at(0));
  due.touch("b", at(1));
  due.touch("c", at(100));
  EXPECT_EQ(due.ready(at(10)), 2u);
  auto first = due.next();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->domain, "a");
  due.report(*first, true, std::nullopt);
  auto second = due.next();
  EXPECT_EQ(second->domain, "b");
  due.report(*second, false, at(50));
  EXPECT_EQ(due.next()->domain, "a");
  EXPECT_EQ(due.earliest()->second, at(50));
}

TEST(DueIndex, ATouchWhileTheDatabaseWasAskedIsNotLost) {
  DueIndex due;
  due.touch("a", at(0));
  ASSERT_EQ(due.ready(at(0)), 1u);
  const auto candidate = due.next();
  due.touch("a", at(5));
  due.report(*candidate, false, std::nullopt);  // an answer from before the touch
  EXPECT_EQ(due.size(), 1u);
  EXPECT_TRUE(due.next());
}

TEST(DueIndex, ForgetsADomainWithNothingLeft) {
  DueIndex due;
  due.touch("a", at(0));
  ASSERT_EQ(due.ready(at(0)), 1u);
  due.report(*due.next(), false, std::nullopt);
  EXPECT_EQ(due.size(), 0u);
  EXPECT_FALSE(due.earliest());
}

TEST(DueIndex, AnEarlierTimeWins) {
  DueIndex due;
  due.touch("a", at(100));
  due.touch("a", at(10));
  due.touch("a", at(50));
  EXPECT_EQ(due.earliest()->second, at(10));
}

// As after a start over a queue whose times have all come: where in memory a domain stands decides nothing.
TEST(DueIndex, TheSameTimeComesInTheOrderOfArrival) {
  DueIndex due;
  std::vector<std::string> names, turns;
  std::vector<std::unique_ptr<char[]>> holes;  // so that the places in memory are not in order
  for (int i = 0; i < 200; ++i) {
    names.push_back("d" + std::to_string(i * 7919 % 1000));
    if (i % 3 != 0) holes.push_back(std::make_unique<char[]>(static_cast<std::size_t>(100 + i % 3 * 40)));
    if (i % 5 == 4) holes.erase(holes.begin());
    due.touch(names.back(), at(5));
  }
  ASSERT_EQ(due.ready(at(5)), names.size());
  while (const auto next = due.next()) turns.push_back(next->domain);
  EXPECT_EQ(turns, names);
}

TEST(TokenBucket, AClockSetBackGivesAndTakesNothing) {
  const Rate rate{10, Millis(10'000)};
  TokenBucket bucket = TokenBucket::full(rate, at(1000));
  EXPECT_TRUE(bucket.take(rate, 6, at(1000)));
  EXPECT_TRUE(bucket.take(rate, 4, at(0)));
  EXPECT_FALSE(bucket.take(rate, 1, at(0)));
  EXPECT_TRUE(bucket.take(rate, 1, at(1)));
}

TEST(TokenBucket, ALoweredRateCutsWhatIsThere) {
  TokenBucket bucket = TokenBucket::full({100, Millis(1000)}, at(0));
  EXPECT_FALSE(bucket.take({10, Millis(1000)}, 11, at(0)));
  EXPECT_TRUE(bucket.take({10, Millis(1000)}, 10, at(0)));
}

TEST(BodyCache, IsBoundedAndDropsTheOldest) {
  BodyCache cache(10'000);
  std::vector<QueueId> ids;
  for (std::uint8_t i = 0; i < 20; ++i) {
    QueueId id;
    id.bytes[0] = i;
    ids.push_back(id);
    cache.put(id, std::make_shared<const MessageContent>(
                      MessageContent{"", std::make_shared<const std::string>(1000, 'x'), ""}));
  }
  EXPECT_FALSE(cache.get(ids[0]));
  ASSERT_TRUE(cache.get(ids[19]));
  cache.drop(ids[19]);
  EXPECT_FALSE(cache.get(ids[19]));
}

}  // namespace
}  // namespace holdfast
