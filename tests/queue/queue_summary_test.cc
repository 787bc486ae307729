#include "queue/queue_summary.h"

#include <gtest/gtest.h>

#include "smtp/base/random.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;

class QueueSummaryTest : public testing::Test {
 protected:
  QueueRow row(const std::string& to, const std::string& reason = "", std::chrono::minutes age = 1min) {
    auto meta = std::make_shared<MessageMeta>();
    meta->id = QueueId::make(now_, *random_);
    meta->user = "app";
    meta->accepted = now_ - age;
    meta->body_size = 100;
    QueueRow out;
    out.meta = meta;
    out.address = Mailbox::parse(to).value();
    out.to = to;
    out.reason = reason;
    return out;
  }
  QueueRow another(const QueueRow& row, const std::string& to) {
    QueueRow out = row;
    out.address = Mailbox::parse(to).value();
    out.to = to;
    return out;
  }

  WallTime now_{std::chrono::hours(400000)};
  std::unique_ptr<Random> random_ = make_system_random();
};

TEST_F(QueueSummaryTest, CountsRecipientsMessagesAndOctetsTheFullestFirst) {
  QueueSummary summary(SummaryBy::domain, now_);
  const auto first = row("a@one.test", "", 3min);
  summary.add(first);
  summary.add(another(first, "b@one.test"));
  summary.add(another(first, "c@two.test"));
  summary.add(row("d@one.test", "", 9min));
  const auto lines = summary.lines();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0].key, "one.test");
  EXPECT_EQ(lines[0].recipients, 3u);
  EXPECT_EQ(lines[0].messages, 2u);
  EXPECT_EQ(lines[0].bytes, 200u);
  EXPECT_EQ(lines[0].oldest, now_ - 9min);
  EXPECT_EQ(lines[1].recipients, 1u);
}

TEST_F(QueueSummaryTest, SumsUpErrorsOfOneKind) {
  QueueSummary summary(SummaryBy::error, now_);
  summary.add(row("a@one.test", "450 4.2.0 <a@one.test> greylisted, id 0123456789AB"));
  summary.add(row("b@one.test", "450 4.2.0 <b@one.test> greylisted, id 4567890123CD"));
  summary.add(row("c@one.test", "4.7.5 mx.one.test: the certificate is for another host"));
  summary.add(row("d@one.test"));
  const auto lines = summary.lines();
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0].key, "450 4.2.0 … greylisted, id …");
  EXPECT_EQ(lines[0].recipients, 2u);
  EXPECT_EQ(error_kind("4.7.5 mx.one.test: no"), "4.7.5 mx.one.test: no");
}

TEST_F(QueueSummaryTest, SortsAgesTheOldestFirst) {
  QueueSummary summary(SummaryBy::age, now_);
  summary.add(row("a@one.test", "", 1min));
  summary.add(row("b@one.test", "", 2min));
  summary.add(row("c@one.test", "", 100h));
  summary.add(row("d@one.test", "", 3h));
  const auto lines = summary.lines();
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0].key, "above 2 days");
  EXPECT_EQ(lines[1].key, "2 to 8 hours");
  EXPECT_EQ(lines[2].key, "below 5 minutes");
  EXPECT_EQ(lines[2].recipients, 2u);
}

TEST_F(QueueSummaryTest, KnowsStatesSendersAndUsers) {
  for (const auto& [name, key] : std::map<std::string, std::string>{
           {"state", "deferred"}, {"sender", "<>"}, {"user", "app"}, {"domain", "one.test"}}) {
    QueueSummary summary(summary_by(name).value(), now_);
    QueueRow one = row("a@one.test");
    one.attempts = 2;
    summary.add(one);
    EXPECT_EQ(summary.lines().at(0).key, key);
  }
  EXPECT_FALSE(summary_by("colour"));
}

TEST_F(QueueSummaryTest, IsBoundedHoweverManyKeysThereAre) {
  QueueSummary summary(SummaryBy::domain, now_);
  for (std::size_t i = 0; i < kMostSummaryKeys + 500; ++i)
    summary.add(row("a@d" + std::to_string(i) + ".test"));
  const auto lines = summary.lines();
  EXPECT_EQ(lines.size(), kMostSummaryKeys + 1);
  EXPECT_EQ(lines[0].key, kOtherKeys);
  EXPECT_EQ(lines[0].recipients, 500u);
}

}  // namespace
}  // namespace holdfast
