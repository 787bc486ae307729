// What the embedded store promises beyond the rules of every store: durability, faults of the disk, group
// commit. Body files, damage and the history are in the sqlite_store_*_test.cc beside it.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/detached.hpp>

#include "tests/queue/sqlite_store_fixture.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::IsEmpty;
using testing::SizeIs;

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

TEST_F(SqliteStoreTest, LowSpaceIsSeen) {
  auto options = test_options({});
  options.min_free_space = {0, std::uint64_t{1} << 60};
  start(options);
  EXPECT_TRUE(engine_->store().low_on_space());
  EXPECT_TRUE(t_->accept(t_->message({"a@one.example"}))) << "what must go in (bounces) still does";
  EXPECT_GT(engine_->metrics().gauge("store_free_bytes"), 0);
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
