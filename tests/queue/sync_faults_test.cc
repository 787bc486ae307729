// Each sync of a scripted life of the store fails in turn, once or for good; then the store starts again,
// after a kill and after a stop, and is judged by what it had said.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/detached.hpp>
#include <map>
#include <optional>
#include <set>
#include <thread>

#include "tests/queue/sqlite_under_test.h"
#include "tests/queue/sync_seam.h"

namespace {

int sync_or_fail(int descriptor, long call) {
  if (!holdfast::SyncSeam::instance().fails(descriptor)) return static_cast<int>(::syscall(call, descriptor));
  errno = EIO;
  return -1;
}

}  // namespace

extern "C" {
__attribute__((visibility("default"))) int fsync(int descriptor) {
  return sync_or_fail(descriptor, SYS_fsync);
}
__attribute__((visibility("default"))) int fdatasync(int descriptor) {
  return sync_or_fail(descriptor, SYS_fdatasync);
}
}

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::SizeIs;

namespace fs = std::filesystem;

constexpr std::size_t kLarge = 9000;  // octets; in a file of its own
const std::string kPrefix = "Received: from client\r\n";
const std::string kSuffix = "--boundary--\r\n";

SqliteStoreOptions options_of_sync_faults(const fs::path& directory) {
  auto options = test_options(directory);
  options.inline_limit = 4096;
  return options;
}

std::string local_part(const std::string& address) { return address.substr(0, address.find('@')); }

// A store on a directory that stays.
class StoreAt final : public StoreUnderTest {
 public:
  explicit StoreAt(fs::path directory) : directory_(std::move(directory)) {
    store_ = SqliteStore::open(options_of_sync_faults(directory_), clock_, log_, metrics_).value();
  }
  ~StoreAt() override { run_to_end(store_->close()); }
  Store& store() override { return *store_; }
  Quota& quota() override { return *store_; }
  FakeClock& clock() override { return clock_; }
  bool durable() const override { return true; }
  void reopen() override {}

 private:
  fs::path directory_;
  FakeClock clock_;
  CapturingLog log_;
  CapturingMetrics metrics_;
  std::unique_ptr<SqliteStore> store_;
};

// What one batch asked for, and whether the store said yes.
struct Asked {
  std::vector<std::string> accepted, ended, deferred;  // recipients
  bool acknowledged = false;
};

struct Sent {
  QueueId id;
  std::string content;
  std::string file;  // whose body it is, when that is a large one: the first one's recipient
};

// What was asked and what was said, in one life.
struct FaultyLife {
  std::vector<Asked> asked;
  std::map<std::string, Sent> sent;  // by recipient
};

// The script: messages come in, small and large; deliveries end, one by a bounce that shares the large body;
// others are deferred. Whenever a large body is being synced, a batch is under way whose own sync comes after
// it.
class Script {
 public:
  explicit Script(StoreUnderTest& engine) : store_(engine.store()), t_(engine) {}

  FaultyLife run() {
    Step first;
    for (const char* to : {"a", "b", "c"}) accept(first, to, "Subject: x\r\n\r\nHello\r\n");
    apply(std::move(first));
    claim();

    Step beside_one;
    accept(beside_one, "d", "Subject: y\r\n\r\nbeside the first large one\r\n");
    complete(beside_one, "a");
    defer(beside_one, "b");
    accept_large("large-1", std::move(beside_one));
    claim();

    Step beside_two;
    notify(beside_two, "bounce", "large-1");
    complete(beside_two, "large-1", RecipientState::bounced);
    accept_large("large-2", std::move(beside_two));
    claim();

    Step last;
    defer(last, "c");
    complete(last, "large-2");
    complete(last, "bounce");
    apply(std::move(last));
    return std::move(life_);
  }

 private:
  struct Step {
    Batch batch;
    Asked asked;
  };

  static asio::awaitable<void> apply_into(Store& store, Batch batch,
                                          std::optional<Result<ApplyResult>>* into) {
    into->emplace(co_await store.apply(std::move(batch)));
  }
  static asio::awaitable<void> finish_into(StagedBody& body, std::optional<Result<void>>* into) {
    into->emplace(co_await body.finish());
  }

  void accept(Step& step, const std::string& to, const std::string& body) {
    Accept accept = t_.message({to + "@one.example"}, body);
    life_.sent[to] = {accept.meta.id, kPrefix + body, ""};
    step.batch.accept.push_back(std::move(accept));
    step.asked.accepted.push_back(to);
  }

  void notify(Step& step, const std::string& to, const std::string& of) {
    Accept accept = t_.message({to + "@one.example"});
    accept.body.reset();
    accept.body_of = life_.sent[of].id;
    accept.suffix = kSuffix;
    life_.sent[to] = {accept.meta.id, life_.sent[of].content + kSuffix, of};
    step.batch.accept.push_back(std::move(accept));
    step.asked.accepted.push_back(to);
  }

  // What could not be claimed, since it was refused, is not the script's to complete.
  void complete(Step& step, const std::string& to, RecipientState state = RecipientState::delivered) {
    const auto found = claimed_.find(to);
    if (found == claimed_.end()) return;
    step.batch.complete.push_back({found->second.first, found->second.second, state, "said so", "mx"});
    step.asked.ended.push_back(to);
  }

  void defer(Step& step, const std::string& to) {
    const auto found = claimed_.find(to);
    if (found == claimed_.end()) return;
    Defer defer;
    defer.recipient = found->second.first;
    defer.token = found->second.second;
    defer.next_attempt = t_.now() + 1h;
    defer.reason = "451 later";
    step.batch.defer.push_back(defer);
    step.asked.deferred.push_back(to);
  }

  void claim() {
    for (const auto& claim : t_.claim({"one.example"}))
      for (const auto& one : claim.recipients)
        claimed_[local_part(one.address.text())] = {one.id, claim.token};
  }

  void note(Asked asked, const Result<ApplyResult>& result) {
    asked.acknowledged = result.has_value();
    if (result) {
      EXPECT_EQ(SyncSeam::instance().given(), 0u) << "acknowledged after a sync had failed";
      EXPECT_THAT(result->stale, SizeIs(0));
    } else {
      EXPECT_GT(SyncSeam::instance().given(), 0u) << "refused for nothing: " << result.error().text();
      EXPECT_TRUE(result.error().is(StoreError::failed_for_good)) << result.error().text();
    }
    life_.asked.push_back(std::move(asked));
  }

  void apply(Step step) {
    auto result = t_.apply(std::move(step.batch));
    note(std::move(step.asked), result);
  }

  // The large body is synced while `beside` waits for its own sync.
  void accept_large(const std::string& to, Step beside) {
    const std::string content = "Subject: z\r\n\r\n" + std::string(kLarge, to.back()) + "\r\n";
    auto body = store_.stage_body();
    EXPECT_TRUE(run_to_end(body->write(content)));
    std::optional<Result<ApplyResult>> applied;
    std::optional<Result<void>> finished;
    auto& seam = SyncSeam::instance();
    seam.hold_database();
    asio::co_spawn(test_context(), apply_into(store_, std::move(beside.batch), &applied), asio::detached);
    const auto until = std::chrono::steady_clock::now() + 30s;
    while (!applied && !seam.is_one_waiting() && std::chrono::steady_clock::now() < until) {
      settle(test_context());
      std::this_thread::yield();
    }
    EXPECT_TRUE(applied || seam.is_one_waiting());
    asio::co_spawn(test_context(), finish_into(*body, &finished), asio::detached);
    run_until([&] { return finished.has_value(); });
    seam.let_go();
    run_until([&] { return applied.has_value(); });
    note(std::move(beside.asked), *applied);
    if (!*finished) {
      EXPECT_GT(seam.given(), 0u) << finished->error().text();
      return;
    }
    Step step;
    accept(step, to, "");
    step.batch.accept.back().body = std::move(body);
    life_.sent[to].content = kPrefix + content;
    life_.sent[to].file = to;
    apply(std::move(step));
  }

  Store& store_;
  StoreTest t_;
  FaultyLife life_;
  std::map<std::string, std::pair<RecipientId, ClaimToken>> claimed_;
};

// What a store that started again holds, against what the life before was told.
class SyncFaultJudge {
 public:
  SyncFaultJudge(const FaultyLife& life, const fs::path& directory)
      : life_(life), directory_(directory), engine_(directory), t_(engine_) {}

  void judge() {
    QueueFilter all;
    all.remembered = true;
    for (const auto& row : t_.list(all)) {
      const std::string to = local_part(row.to);
      EXPECT_TRUE(life_.sent.contains(to)) << to << " was never sent";
      EXPECT_TRUE(rows_.emplace(to, row).second) << to << " is there twice";
    }
    for (const auto& asked : life_.asked) judge_batch(asked);
    judge_contents();
    judge_counts();
    judge_work();
  }

 private:
  bool is_there(const std::string& to) const { return rows_.contains(to); }
  bool has_ended_here(const std::string& to) const { return is_there(to) && has_ended(rows_.at(to).state); }
  bool is_deferred(const std::string& to) {
    return is_there(to) && rows_.at(to).attempts == 1 && rows_.at(to).next_attempt > engine_.clock().wall();
  }

  void judge_batch(const Asked& asked) {
    std::vector<bool> done;
    for (const auto& to : asked.accepted) done.push_back(is_there(to));
    for (const auto& to : asked.ended) done.push_back(has_ended_here(to));
    for (const auto& to : asked.deferred) done.push_back(is_deferred(to));
    const auto yes = std::count(done.begin(), done.end(), true);
    const bool whole = yes == static_cast<std::ptrdiff_t>(done.size());
    if (asked.acknowledged) {
      EXPECT_TRUE(whole) << "acknowledged, and only " << yes << " of " << done.size() << " are there";
    } else {
      EXPECT_TRUE(whole || yes == 0) << "half of a batch is there: " << yes << " of " << done.size();
    }
  }

  void judge_contents() {
    std::set<std::string> files;
    for (const auto& [to, row] : rows_) {
      if (has_ended(row.state)) continue;
      EXPECT_EQ(row.state, RecipientState::queued) << to;
      const Sent& sent = life_.sent.at(to);
      if (!sent.file.empty()) files.insert(sent.file);
      const auto content = t_.content(sent.id);
      EXPECT_TRUE(content) << to << ": " << content.error().text();
      if (!content) continue;
      EXPECT_TRUE(*content == sent.content) << to << " holds another's octets";
    }
    std::size_t on_disk = 0;
    for (const auto& entry : fs::recursive_directory_iterator(directory_ / "bodies"))
      on_disk += entry.is_regular_file() ? 1 : 0;
    EXPECT_EQ(on_disk, files.size()) << "files of bodies";
  }

  void judge_counts() {
    std::uint64_t live = 0;
    for (const auto& [to, row] : rows_) live += has_ended(row.state) ? 0 : 1;
    const auto stats = run_to_end(engine_.store().stats()).value();
    EXPECT_EQ(stats.messages, live);
    EXPECT_EQ(stats.recipients_queued + stats.recipients_deferred, live);
    EXPECT_EQ(stats.damaged, 0u);
  }

  // All that is due comes, once, and can end; new mail is taken.
  void judge_work() {
    EXPECT_FALSE(engine_.store().failed());
    EXPECT_TRUE(t_.accept(t_.message({"new@one.example"})));
    std::multiset<std::string> due, wanted{"new"};
    for (const auto& claim : t_.claim({"one.example"})) {
      for (const auto& one : claim.recipients) due.insert(local_part(one.address.text()));
      EXPECT_TRUE(t_.complete(claim));
    }
    for (const auto& [to, row] : rows_)
      if (!has_ended(row.state) && !is_deferred(to)) wanted.insert(to);
    EXPECT_EQ(due, wanted);
  }

  const FaultyLife& life_;
  fs::path directory_;
  StoreAt engine_;
  StoreTest t_;
  std::map<std::string, QueueRow> rows_;
};

void copy_files(const fs::path& from, const fs::path& to) {
  for (const auto& entry : fs::recursive_directory_iterator(from)) {
    if (!entry.is_regular_file()) continue;
    const fs::path target = to / fs::relative(entry.path(), from);
    fs::create_directories(target.parent_path());
    fs::copy_file(entry.path(), target);
  }
}

// In memory where the system has that: here syncs are counted, and need not wait for a disk.
fs::path place_of_sync_faults() {
  const fs::path memory = "/dev/shm";
  return ::access(memory.c_str(), W_OK) == 0 ? memory : fs::temp_directory_path();
}

// True when the fault was given.
bool live_with_fault(std::size_t fail_at, bool sticky) {
  const TemporaryDirectory directory(place_of_sync_faults()), killed(place_of_sync_faults());
  FaultyLife life;
  auto& seam = SyncSeam::instance();
  {
    StoreAt engine(directory.path());
    seam.watch(fail_at, sticky);
    life = Script(engine).run();
    // What a kill leaves of the database. Closing it would tidy its log.
    for (const char* file : {"queue.db", "queue.db-wal"})
      fs::copy_file(directory.path() / file, killed.path() / file);
  }
  const bool given = seam.given() > 0;
  seam.stop_watching();
  // Only now: files that the store removed after the fault are gone for the killed one, too.
  copy_files(directory.path() / "bodies", killed.path() / "bodies");
  {
    SCOPED_TRACE("killed");
    SyncFaultJudge(life, killed.path()).judge();
  }
  {
    SCOPED_TRACE("stopped");
    SyncFaultJudge(life, directory.path()).judge();
  }
  for (const auto& asked : life.asked) EXPECT_TRUE(given || asked.acknowledged);
  return given;
}

TEST(SyncFaults, WhicheverSyncFailsNothingIsAcknowledgedThatIsNotThere) {
  std::size_t lives = 0;
  for (const bool sticky : {false, true}) {
    for (std::size_t fail_at = 1; !HasFailure(); ++fail_at) {
      SCOPED_TRACE((sticky ? "from sync " : "sync ") + std::to_string(fail_at));
      ++lives;
      if (!live_with_fault(fail_at, sticky)) break;
      ASSERT_LT(fail_at, 100u) << "it never ran through";
    }
  }
  EXPECT_THAT(SyncSeam::instance().failed(),
              testing::IsSupersetOf({"log", "database", "body", "folder of bodies"}));
  std::printf("%zu lives\n", lives);
}

}  // namespace
}  // namespace holdfast
