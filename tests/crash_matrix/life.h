// tests/crash_matrix/life.h — one life of the store, told step by step: take in small and large, deliver,
// defer, bounce, expire, hold, checkpoint, close, recover. What happens to it while it lives is the caller's
// business.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "queue/sqlite_store.h"
#include "tests/fakes/capture.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/run.h"

namespace holdfast {

// One for all lives of the process: the context outlives every store's threads.
asio::io_context& life_context();

template <class T>
T wait_for(asio::awaitable<T> task) {
  return run(life_context(), std::move(task));
}

// The same ids in every life.
class CountingRandom final : public Random {
 public:
  std::uint64_t next() override { return value_ += 0x9e3779b97f4a7c15; }

 private:
  std::uint64_t value_ = 0;
};

// The store in a directory, and the messages A to E and bounces X, Y that a life knows.
class Life {
 public:
  explicit Life(std::filesystem::path directory);

  Result<void> open();
  void close();
  Result<void> close_in_order();  // an error when the store could not write all that it had to
  SqliteStore& store() { return *store_; }
  FakeClock& clock() { return clock_; }
  QueueId id(char name) const { return ids_.at(name); }
  const std::filesystem::path& directory() const { return directory_; }

  Accept message(char name, const std::vector<std::string>& to);
  Result<Accept> staged(char name, const std::vector<std::string>& to);
  Result<void> take_in(char name, const std::vector<std::string>& to, const std::string& key = "");
  // Tells of the end of `claim`, with it.
  Result<void> end_with_bounce(const Claim& claim, RecipientState state, char bounce, char original);
  Result<void> apply(Batch batch);
  std::map<std::string, Claim> claim(const std::string& domain);  // by address, each alone
  Result<bool> take_quota(std::uint64_t n);                       // of kLifeQuota
  Result<void> checkpoint();  // as the caretaker does it, by a connection of its own

 private:
  std::filesystem::path directory_;
  FakeClock clock_;
  CountingRandom random_;
  CapturingLog log_;
  CapturingMetrics metrics_;
  std::map<char, QueueId> ids_;
  std::unique_ptr<SqliteStore> store_;
};

inline constexpr Rate kLifeQuota{5, Millis(24 * 3600 * 1000)};

std::string body_of(char name);      // as submitted
std::string told_of(char bounce);    // to whom a bounce goes
const std::string& prefix_of_all();  // header fields that intake added

// Gets "begin NAME", "done NAME" and "refused NAME why": when "done" is said, the step is promised.
using Say = std::function<void(const std::string& line)>;

void live(Life& life, const Say& say);
// What happens after a recovery: one more message, and the store is closed.
void live_on(Life& life, const Say& say);

}  // namespace holdfast
