// How long the embedded store remembers.
#include <gmock/gmock.h>

#include "tests/queue/sqlite_store_fixture.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::IsEmpty;

TEST_F(SqliteStoreTest, HistoryGoesByAge) {
  auto options = test_options({});
  options.history = 24h;
  start(options);
  const auto old = t_->accept(t_->message({"a@one.example"})).value().id;
  const auto live = t_->accept(t_->message({"b@two.example"})).value().id;
  Batch note;
  note.history.push_back({old, t_->now(), "delivered", "{}"});
  ASSERT_TRUE(t_->apply(std::move(note)));
  ASSERT_TRUE(t_->complete(t_->claim({"one.example"}).at(0)));
  engine_->clock().advance(25h);
  const auto young = t_->accept(t_->message({"c@one.example"})).value().id;
  ASSERT_TRUE(t_->complete(t_->claim({"one.example"}).at(0)));
  QueueFilter delivered;
  delivered.state = RecipientState::delivered;
  EXPECT_TRUE(eventually([&] { return t_->list(delivered).size() == 1; }));
  EXPECT_EQ(t_->list(delivered).at(0).meta->id, young);
  EXPECT_THAT(run_to_end(engine_->store().history(old)).value(), IsEmpty());
  EXPECT_TRUE(t_->content(live));
}

TEST_F(SqliteStoreTest, HistoryGoesBySize) {
  auto options = test_options({});
  options.history_size = 50'000;
  start(options);
  for (int i = 0; i < 200; ++i) {
    Accept accept = t_->message({"a@one.example"});
    accept.claim = true;
    const auto accepted = t_->accept(std::move(accept)).value();
    Batch batch;
    batch.history.push_back({accepted.id, t_->now(), "attempt", std::string(1000, 'h')});
    const auto& claim = accepted.claims.at(0);
    batch.complete.push_back(
        {claim.recipients[0].id, claim.token, RecipientState::delivered, "250 ok", "mx"});
    ASSERT_TRUE(t_->apply(std::move(batch)));
  }
  engine_->clock().advance(2min);
  QueueFilter delivered;
  delivered.state = RecipientState::delivered;
  EXPECT_TRUE(eventually([&] { return t_->list(delivered).size() < 50; }));
  EXPECT_GT(t_->list(delivered).size(), 20u);
}

TEST_F(SqliteStoreTest, AnIdempotencyKeyGoesInTheEnd) {
  auto options = test_options({});
  start(options);
  Accept keyed = t_->message({"a@one.example"});
  keyed.meta.idempotency_key = "k";
  ASSERT_TRUE(t_->accept(std::move(keyed)));
  ASSERT_TRUE(t_->complete(t_->claim({"one.example"}).at(0)));
  engine_->clock().advance(24h * 10);
  EXPECT_TRUE(eventually([&] {
    Accept again = t_->message({"a@one.example"});
    again.meta.idempotency_key = "k";
    return !t_->accept(std::move(again))->duplicate;
  }));
}

}  // namespace
}  // namespace holdfast
