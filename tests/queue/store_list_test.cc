// What every engine of the store keeps: lists by every filter, and the history.
#include <gmock/gmock.h>

#include <set>

#include "tests/queue/store_conformance.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::IsEmpty;
using testing::SizeIs;

TEST_P(StoreConformance, ListsByEveryFilter) {
  Accept first = t_.message({"Anna@one.example", "bert@two.example"});
  const QueueId first_id = first.meta.id;
  ASSERT_TRUE(t_.accept(std::move(first)));
  engine_->clock().advance(1h);
  Accept second = t_.message({"carl@one.example"});
  second.meta.user = "other";
  second.meta.reverse_path = mailbox("boss@corp.example");
  ASSERT_TRUE(t_.accept(std::move(second)));
  auto count = [&](auto set) {
    QueueFilter filter;
    set(filter);
    return t_.list(filter).size();
  };
  EXPECT_EQ(count([](QueueFilter&) {}), 3u);
  EXPECT_EQ(count([](QueueFilter& f) { f.to = "anna"; }), 1u);
  EXPECT_EQ(count([](QueueFilter& f) { f.from = "CORP"; }), 1u);
  EXPECT_EQ(count([](QueueFilter& f) { f.user = "other"; }), 1u);
  EXPECT_EQ(count([](QueueFilter& f) { f.domain = "one.example"; }), 2u);
  EXPECT_EQ(count([&](QueueFilter& f) { f.id = first_id; }), 2u);
  EXPECT_EQ(count([&](QueueFilter& f) { f.accepted_before = t_.now() - 30min; }), 2u);
  EXPECT_EQ(count([](QueueFilter& f) { f.state = RecipientState::held; }), 0u);
  EXPECT_EQ(count([](QueueFilter& f) { f.limit = 2; }), 2u);
  EXPECT_EQ(count([](QueueFilter& f) { f.error = "4.7.1"; }), 0u);
}

TEST_P(StoreConformance, AUserIsFoundByTheWholeName) {
  Accept other = t_.message({"a@one.example"});
  other.meta.user = "app2";
  ASSERT_TRUE(t_.accept(std::move(other)));
  ASSERT_TRUE(t_.accept(t_.message({"b@one.example"})));
  QueueFilter filter;
  filter.user = "app";
  const auto rows = t_.list(filter);
  ASSERT_THAT(rows, SizeIs(1));
  EXPECT_EQ(rows[0].to, "b@one.example");
}

TEST_P(StoreConformance, RemembersWhatHasEndedTheNewestFirst) {
  const auto first = t_.accept(t_.message({"a@one.example"})).value().id;
  engine_->clock().advance(1h);
  Accept second = t_.message({"b@two.example"});
  second.recipients[0].dsn.notify = kNotifySuccess;
  second.recipients[0].dsn.original_recipient = "rfc822;b@two.example";
  ASSERT_TRUE(t_.accept(std::move(second)));
  Batch told;
  told.history.push_back({first, t_.now(), "deferred", R"({"reply":"450 4.2.0 Greylisted"})"});
  ASSERT_TRUE(t_.apply(std::move(told)));
  ASSERT_TRUE(t_.complete(t_.claim({"one.example"}).at(0)));

  EXPECT_THAT(t_.list(), SizeIs(1)) << "the queue itself holds what has not ended";
  QueueFilter filter;
  filter.remembered = true;
  filter.newest_first = true;
  auto rows = t_.list(filter);
  ASSERT_THAT(rows, SizeIs(2));
  EXPECT_EQ(rows[0].to, "b@two.example");
  EXPECT_EQ(rows[0].dsn.notify, kNotifySuccess);
  EXPECT_EQ(rows[0].dsn.original_recipient, "rfc822;b@two.example");
  EXPECT_EQ(rows[0].ended, std::nullopt);
  EXPECT_EQ(rows[1].state, RecipientState::delivered);
  EXPECT_EQ(rows[1].mx, "mx.example [192.0.2.1]");
  EXPECT_EQ(rows[1].address, mailbox("a@one.example"));
  EXPECT_EQ(rows[1].ended, t_.now());

  filter.limit = 1;
  filter.after = rows[0].recipient;
  EXPECT_EQ(t_.list(filter).at(0).to, "a@one.example") << "pages go down";
  filter = {};
  filter.remembered = true;
  filter.error = "greylisted";
  EXPECT_THAT(t_.list(filter), SizeIs(1)) << "an error that is not the last word is found too";
  filter.error.clear();
  filter.accepted_since = t_.now() - 30min;
  EXPECT_THAT(t_.list(filter), SizeIs(1));
  filter = {};
  filter.id = first;
  EXPECT_THAT(t_.list(filter), IsEmpty());
  filter.remembered = true;
  EXPECT_THAT(t_.list(filter), SizeIs(1));
  filter.newest_first = true;
  EXPECT_THAT(t_.list(filter), SizeIs(1));
}

TEST_P(StoreConformance, PagesThroughAList) {
  for (int i = 0; i < 7; ++i) ASSERT_TRUE(t_.accept(t_.message({"a@one.example", "b@one.example"})));
  QueueFilter filter;
  filter.limit = 3;
  std::set<RecipientId> seen;
  while (true) {
    const auto rows = t_.list(filter);
    if (rows.empty()) break;
    for (const auto& row : rows) EXPECT_TRUE(seen.insert(row.recipient).second);
    filter.after = rows.back().recipient;
  }
  EXPECT_THAT(seen, SizeIs(14));
}

TEST_P(StoreConformance, ListSaysWhatIsInHand) {
  ASSERT_TRUE(t_.accept(t_.message({"a@one.example", "b@two.example"})));
  t_.claim({"two.example"});
  const auto rows = t_.list();
  ASSERT_THAT(rows, SizeIs(2));
  EXPECT_FALSE(rows[0].in_hand);
  EXPECT_TRUE(rows[1].in_hand);
}

TEST_P(StoreConformance, KeepsHistoryInOrder) {
  const auto id = t_.accept(t_.message({"a@one.example"})).value().id;
  Batch batch;
  batch.history.push_back({id, t_.now(), "attempt", R"({"mx":"a"})"});
  batch.history.push_back({id, t_.now(), "deferred", "{}"});
  ASSERT_TRUE(t_.apply(std::move(batch)));
  Batch later;
  later.history.push_back({id, t_.now() + 1s, "delivered", "{}"});
  ASSERT_TRUE(t_.apply(std::move(later)));
  const auto history = run_to_end(store().history(id)).value();
  ASSERT_THAT(history, SizeIs(3));
  EXPECT_EQ(history[0].event, "attempt");
  EXPECT_EQ(history[0].detail, R"({"mx":"a"})");
  EXPECT_EQ(history[0].at, t_.now());
  EXPECT_EQ(history[1].event, "deferred");
  EXPECT_EQ(history[2].event, "delivered");
  EXPECT_THAT(run_to_end(store().history(QueueId{})).value(), IsEmpty());
}

}  // namespace
}  // namespace holdfast
