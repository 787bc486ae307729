// Body files of the embedded store, and what is damaged: it is set aside, and the rest still comes.
#include <gmock/gmock.h>

#include <fstream>

#include "tests/queue/sqlite_store_fixture.h"

namespace holdfast {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

namespace fs = std::filesystem;

TEST_F(SqliteStoreTest, ALargeBodyIsAFileUntilItsMessageEnds) {
  start();
  const auto id = t_->accept(t_->message({"a@one.example"}, std::string(300'000, 'x'))).value().id;
  EXPECT_THAT(body_files(), SizeIs(1));
  EXPECT_EQ(t_->content(id)->size(), 300'023u);
  ASSERT_TRUE(t_->complete(t_->claim({"one.example"}).at(0)));
  EXPECT_TRUE(eventually([&] { return body_files().empty(); }));
}

TEST_F(SqliteStoreTest, AnUnusedStagedBodyLeavesNothingBehind) {
  start();
  {
    auto body = engine_->store().stage_body();
    ASSERT_TRUE(run_to_end(body->write(std::string(300'000, 'x'))));
    EXPECT_THAT(body_files(), SizeIs(1));
  }
  EXPECT_TRUE(eventually([&] { return body_files().empty(); }));
}

TEST_F(SqliteStoreTest, OrphanedBodyFilesAreRemovedAtStart) {
  start();
  const auto id = t_->accept(t_->message({"a@one.example"}, std::string(300'000, 'x'))).value().id;
  engine_->shut();
  std::ofstream(engine_->path() / "bodies" / "00" / "0011223344556677") << "left by a crash";
  EXPECT_THAT(body_files(), SizeIs(2));
  engine_->reopen_closed();
  EXPECT_THAT(body_files(), SizeIs(1));
  EXPECT_TRUE(t_->content(id));
}

TEST_F(SqliteStoreTest, ADamagedBodyFileIsSetAsideAndTheRestStillComes) {
  start();
  const auto id = t_->accept(t_->message({"a@one.example"}, std::string(600'000, 'x'))).value().id;
  const auto sound = t_->accept(t_->message({"b@one.example"})).value().id;
  {
    std::fstream file(body_files().at(0), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(400'000);
    file << "y";
  }
  const auto content = t_->content(id);
  ASSERT_FALSE(content);
  EXPECT_TRUE(content.error().is(StoreError::damaged)) << content.error().text();
  EXPECT_TRUE(eventually([&] { return run_to_end(engine_->store().stats())->damaged == 1; }));
  EXPECT_TRUE(engine_->log().holds(id.text()));
  const auto claims = t_->claim({"one.example"});
  ASSERT_THAT(claims, SizeIs(1));
  EXPECT_EQ(claims[0].meta->id, sound);
}

TEST_F(SqliteStoreTest, AShortOrMissingBodyFileIsDamage) {
  start();
  const auto cut = t_->accept(t_->message({"a@one.example"}, std::string(600'000, 'x'))).value().id;
  fs::resize_file(body_files().at(0), 599'999);
  EXPECT_TRUE(t_->content(cut).error().is(StoreError::damaged));
  fs::remove(body_files().at(0));
  EXPECT_TRUE(t_->content(cut).error().is(StoreError::damaged));
}

TEST_F(SqliteStoreTest, DamagedRowsAreSetAsideAndTheRestStillComes) {
  start();
  const auto bad_meta = t_->accept(t_->message({"a@one.example"})).value().id;
  const auto bad_address = t_->accept(t_->message({"b@one.example"})).value().id;
  const auto bad_body = t_->accept(t_->message({"c@one.example"})).value().id;
  const auto sound = t_->accept(t_->message({"d@one.example"})).value().id;
  engine_->shut();
  run_sql("UPDATE message SET meta=substr(meta, 1, 30) || 'X' || substr(meta, 32) WHERE first=1");
  run_sql("UPDATE recipient SET address='nonsense' WHERE id=2");
  run_sql("UPDATE content SET data=replace(data, 'Hello', 'HELLO') WHERE first=3");
  engine_->reopen_closed();

  auto claims = t_->claim({"one.example"});
  ASSERT_THAT(claims, SizeIs(2));
  EXPECT_EQ(claims[0].meta->id, bad_body);
  EXPECT_EQ(claims[1].meta->id, sound);
  EXPECT_TRUE(t_->content(bad_body).error().is(StoreError::damaged));
  EXPECT_TRUE(t_->content(sound));
  EXPECT_TRUE(eventually([&] { return run_to_end(engine_->store().stats())->damaged == 3; }));
  QueueFilter damaged;
  damaged.state = RecipientState::damaged;
  const auto rows = t_->list(damaged);
  ASSERT_THAT(rows, SizeIs(3));
  EXPECT_EQ(rows[0].meta->id, bad_meta);
  EXPECT_EQ(rows[1].meta->id, bad_address);
  EXPECT_EQ(rows[1].to, "(damaged)");
  EXPECT_THAT(t_->complete(claims[0])->stale, SizeIs(1)) << "what is set aside is in nobody's hand";
  EXPECT_THAT(t_->complete(claims[1])->stale, IsEmpty());
  EXPECT_THAT(t_->due(), IsEmpty());
}

}  // namespace
}  // namespace holdfast
