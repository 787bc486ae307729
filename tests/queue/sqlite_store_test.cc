// What the embedded store promises beyond the rules of every store: durability, faults of the disk, group
// commit.
#include "queue/sqlite_store.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/detached.hpp>
#include <chrono>
#include <fstream>
#include <thread>

#include "smtp/base/sqlite.h"
#include "tests/queue/faulty_vfs.h"
#include "tests/queue/sqlite_under_test.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::IsEmpty;
using testing::SizeIs;

namespace fs = std::filesystem;

class SqliteStoreTest : public testing::Test {
 protected:
  ~SqliteStoreTest() override {
    FaultyVfs::fail_sync = false;
    FaultyVfs::no_space = false;
  }
  void start(SqliteStoreOptions options = test_options({})) {
    engine_ = std::make_unique<SqliteUnderTest>(std::move(options));
    t_ = std::make_unique<StoreTest>(*engine_);
  }
  void start_faulty() {
    auto options = test_options({});
    options.vfs = FaultyVfs::name();
    start(options);
  }
  std::vector<fs::path> body_files() const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(engine_->path() / "bodies"))
      if (entry.is_regular_file()) files.push_back(entry.path());
    return files;
  }
  // Work of the file threads that nobody waits for (removals) is done once an operation after it is.
  bool eventually(const std::function<bool()>& condition) const {
    const auto until = std::chrono::steady_clock::now() + 10s;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::yield();
    }
    return true;
  }
  void run_sql(const std::string& sql) {
    auto db = SqliteDb::open(engine_->path() / "queue.db").value();
    const auto done = db.exec(sql.c_str());
    ASSERT_TRUE(done) << done.error().text();
  }

  std::unique_ptr<SqliteUnderTest> engine_;
  std::unique_ptr<StoreTest> t_;
};

TEST_F(SqliteStoreTest, TakesWhatWaitsIntoOneTransaction) {
  start_faulty();
  ASSERT_TRUE(t_->accept(t_->message({"a@one.example"})));
  const std::uint64_t before = FaultyVfs::syncs;
  constexpr int kMessages = 400;
  std::vector<Batch> batches(kMessages);
  for (auto& batch : batches) batch.accept.push_back(t_->message({"a@one.example"}));
  int accepted = 0;
  int finished = 0;
  auto send = [](Store& store, Batch batch, int* count, int* ended) -> asio::awaitable<void> {
    const auto result = co_await store.apply(std::move(batch));
    if (result) ++*count;
    ++*ended;
  };
  for (auto& batch : batches)
    asio::co_spawn(test_context(), send(engine_->store(), std::move(batch), &accepted, &finished),
                   asio::detached);
  run_until([&] { return finished == kMessages; });
  EXPECT_EQ(accepted, kMessages);
  EXPECT_LE(FaultyVfs::syncs - before, kMessages / 10);
  EXPECT_EQ(run_to_end(engine_->store().stats()).value().messages, kMessages + 1u);
}

TEST_F(SqliteStoreTest, ABadBatchDoesNotFailItsNeighbours) {
  start();
  const QueueId taken = t_->accept(t_->message({"a@one.example"})).value().id;
  std::vector<std::optional<Result<ApplyResult>>> results(30);
  auto send = [](Store& store, Batch batch,
                 std::optional<Result<ApplyResult>>* into) -> asio::awaitable<void> {
    into->emplace(co_await store.apply(std::move(batch)));
  };
  for (std::size_t i = 0; i < results.size(); ++i) {
    Batch batch;
    batch.accept.push_back(t_->message({"a@one.example"}));
    if (i % 10 == 5) batch.accept.back().meta.id = taken;
    asio::co_spawn(test_context(), send(engine_->store(), std::move(batch), &results[i]), asio::detached);
  }
  run_until([&] {
    return std::all_of(results.begin(), results.end(), [](const auto& r) { return r.has_value(); });
  });
  for (std::size_t i = 0; i < results.size(); ++i) EXPECT_EQ(results[i]->has_value(), i % 10 != 5) << i;
  EXPECT_THAT(t_->list(), SizeIs(28));
  EXPECT_THAT(t_->claim({"one.example"}), SizeIs(28));
}

TEST_F(SqliteStoreTest, AFailedSyncEndsAllAcknowledgement) {
  start_faulty();
  const auto before = t_->accept(t_->message({"a@one.example"}));
  ASSERT_TRUE(before);
  FaultyVfs::fail_sync = true;
  const auto lost = t_->accept(t_->message({"b@one.example"}));
  ASSERT_FALSE(lost);
  EXPECT_TRUE(lost.error().is(StoreError::failed_for_good)) << lost.error().text();
  EXPECT_TRUE(engine_->store().failed());
  FaultyVfs::fail_sync = false;
  const auto later = t_->accept(t_->message({"c@one.example"}));
  ASSERT_FALSE(later);
  EXPECT_TRUE(later.error().is(StoreError::failed_for_good));
  EXPECT_TRUE(engine_->log().holds("failed for good"));
  engine_->reopen();
  EXPECT_FALSE(engine_->store().failed());
  EXPECT_TRUE(t_->content(before->id));
  EXPECT_TRUE(t_->accept(t_->message({"d@one.example"})));
}

TEST_F(SqliteStoreTest, AFullDiskRefusesAndRecovers) {
  start_faulty();
  const auto before = t_->accept(t_->message({"a@one.example"}));
  ASSERT_TRUE(before);
  FaultyVfs::no_space = true;
  Accept wanted = t_->message({"b@one.example"}, std::string(200'000, 'x'));
  wanted.claim = true;
  const auto refused = t_->accept(std::move(wanted));
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(StoreError::full)) << refused.error().text();
  EXPECT_FALSE(engine_->store().failed());
  EXPECT_THAT(t_->list(), SizeIs(1));
  EXPECT_TRUE(t_->content(before->id));
  FaultyVfs::no_space = false;
  EXPECT_TRUE(t_->accept(t_->message({"c@one.example"})));
  EXPECT_THAT(t_->list(), SizeIs(2));
  EXPECT_EQ(run_to_end(engine_->store().stats())->recipients_queued, 2u);
}

TEST_F(SqliteStoreTest, ACompletionRefusedForSpaceCanBeRepeated) {
  start_faulty();
  ASSERT_TRUE(t_->accept(t_->message({"a@one.example"})));
  const Claim claim = t_->claim({"one.example"}).at(0);
  FaultyVfs::no_space = true;
  EXPECT_TRUE(t_->complete(claim).error().is(StoreError::full));
  EXPECT_THAT(t_->claim({"one.example"}), IsEmpty());
  FaultyVfs::no_space = false;
  EXPECT_THAT(t_->complete(claim)->stale, IsEmpty());
  EXPECT_THAT(t_->list(), IsEmpty());
}

TEST_F(SqliteStoreTest, ASecondOneOnTheSameDirectoryIsRefused) {
  start();
  const auto second =
      SqliteStore::open(test_options(engine_->path()), engine_->clock(), engine_->log(), engine_->metrics());
  ASSERT_FALSE(second);
  EXPECT_TRUE(second.error().is(StoreError::conflict));
  EXPECT_THAT(second.error().text(), testing::HasSubstr("queue.lock"));
}

TEST_F(SqliteStoreTest, ANewerSchemaIsRefused) {
  start();
  engine_->shut();
  run_sql("UPDATE schema_version SET version=99");
  const auto opened =
      SqliteStore::open(test_options(engine_->path()), engine_->clock(), engine_->log(), engine_->metrics());
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().text(), testing::HasSubstr("schema 99"));
}

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

TEST_F(SqliteStoreTest, LowSpaceIsSeen) {
  auto options = test_options({});
  options.min_free_space = {0, std::uint64_t{1} << 60};
  start(options);
  EXPECT_TRUE(engine_->store().low_on_space());
  EXPECT_TRUE(t_->accept(t_->message({"a@one.example"}))) << "what must go in (bounces) still does";
  EXPECT_GT(engine_->metrics().gauge("store_free_bytes"), 0);
}

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

// The child applies and tells each id only once its apply() has returned; then it is killed in mid-air.
TEST_F(SqliteStoreTest, WhatWasAcknowledgedSurvivesAKill) {
  TemporaryDirectory directory;
  std::vector<QueueId> acknowledged;
  for (int round = 0; round < 5; ++round) {
    int pipe_ends[2];
    ASSERT_EQ(::pipe(pipe_ends), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::close(pipe_ends[0]);
      FakeClock clock;
      clock.advance(round * 1min);  // the forked generator may repeat its numbers: ids differ by their time
      CapturingLog log;
      CapturingMetrics metrics;
      auto random = make_system_random();
      auto store = SqliteStore::open(test_options(directory.path()), clock, log, metrics).value();
      auto send = [](Store& into, Clock& time, Random& dice, int out) -> asio::awaitable<void> {
        while (true) {
          Accept accept;
          accept.meta.accepted = accept.meta.release = time.wall();
          accept.meta.expires = time.wall() + 24h;
          accept.meta.id = QueueId::make(time.wall(), dice);
          accept.body = into.stage_body();
          const std::string body =
              "Subject: x\r\n\r\n" + std::string(dice.below(10) == 0 ? 300'000 : 2'000, 'x') + "\r\n";
          (void)co_await accept.body->write(body);
          (void)co_await accept.body->finish();
          accept.recipients.push_back({make_mailbox("a", "one.example"), {}});
          const QueueId id = accept.meta.id;
          Batch batch;
          batch.accept.push_back(std::move(accept));
          const auto result = co_await into.apply(std::move(batch));
          if (!result) ADD_FAILURE() << result.error().text();
          if (!result || ::write(out, id.bytes.data(), id.bytes.size()) != 16) ::_exit(1);
        }
      };
      for (int i = 0; i < 8; ++i)
        asio::co_spawn(test_context(), send(*store, clock, *random, pipe_ends[1]), asio::detached);
      run_until([] { return false; });
      ::_exit(2);
    }
    ::close(pipe_ends[1]);
    QueueId id;
    const std::size_t enough = acknowledged.size() + 40 + static_cast<std::size_t>(round) * 13;
    while (::read(pipe_ends[0], id.bytes.data(), 16) == 16) {
      acknowledged.push_back(id);
      if (acknowledged.size() == enough) ::kill(child, SIGKILL);
    }
    ::close(pipe_ends[0]);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "exit " << WEXITSTATUS(status);
  }
  FakeClock clock;
  CapturingLog log;
  CapturingMetrics metrics;
  auto store = SqliteStore::open(test_options(directory.path()), clock, log, metrics).value();
  for (const auto& id : acknowledged) {
    auto body = run_to_end(store->open_body(id));
    ASSERT_TRUE(body) << id.text() << ": " << body.error().text();
    std::uint64_t size = 0;
    while (true) {
      auto chunk = run_to_end((*body)->next());
      ASSERT_TRUE(chunk) << chunk.error().text();
      if (chunk->empty()) break;
      size += chunk->size();
    }
    EXPECT_EQ(size, (*body)->size());
  }
  const auto stats = run_to_end(store->stats()).value();
  EXPECT_GE(stats.messages, acknowledged.size());
  EXPECT_EQ(stats.messages, stats.recipients_queued);
  run_to_end(store->close());
}

}  // namespace
}  // namespace holdfast
