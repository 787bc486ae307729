// tests/simulation/gates.h — between the relay and its disks. Everything that becomes durable passes here, so
// that
//  - the real SqliteStore, which has threads, is one more step of the one thread: each call runs to its end
//    while the simulation waits, with simulated time before and after it. The order of calls is the
//    simulation's alone, and so is every result;
//  - a crash is exact: from that moment on nothing passes, whatever the dying objects still try;
//  - a plant can break a promise (Plant), to show that an oracle notices.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <memory>

#include "queue/store.h"
#include "smtp/server/quota.h"
#include "sts/policy_store.h"
#include "tests/simulation/world.h"
#include "tlsrpt/ledger.h"
#include "tlsrpt/reporter_store.h"

namespace holdfast::simulation {

// Faults of ours, to be found.
enum class Plant {
  none,
  planner_ignores_policy,  // everything may go in clear
  store_forgets_accepts,   // says yes to one message in four and keeps nothing
  store_forgets_ends,      // of one delivery in four
  store_loses_notices,     // bounces are left out
  ledger_counts_twice,
  cache_forgets_policies,  // over a restart
};

struct Power {
  bool on = true;
};

class GatedStore final : public Store, public Quota {
 public:
  // All outlive it; `inner` and `quota` are the same store.
  GatedStore(Store& inner, Quota& quota, World& world, const Power& power, Plant plant)
      : inner_(inner), quota_(quota), world_(world), power_(power), plant_(plant) {}

  std::unique_ptr<StagedBody> stage_body() override;
  asio::awaitable<Result<ApplyResult>> apply(Batch batch) override;
  asio::awaitable<Result<Due>> due(WallTime now, std::size_t limit) override;
  asio::awaitable<Result<std::vector<Claim>>> claim(std::vector<std::string> domains, std::size_t n,
                                                    WallTime now, std::string owner, Duration lease) override;
  asio::awaitable<Result<bool>> renew(ClaimToken token, Duration lease) override;
  asio::awaitable<Result<std::unique_ptr<StoredBody>>> open_body(QueueId id) override;
  asio::awaitable<Result<std::string>> read_header(QueueId id) override;
  asio::awaitable<Result<std::vector<QueueRow>>> list(QueueFilter filter) override;
  asio::awaitable<Result<std::vector<HistoryEntry>>> history(QueueId id) override;
  asio::awaitable<Result<StoreStats>> stats() override;
  bool low_on_space() const override { return full; }
  bool failed() const override { return false; }
  asio::awaitable<void> close() override;
  asio::awaitable<Result<bool>> take(std::string key, Rate rate, std::uint64_t n) override;

  bool full = false;
  std::optional<StoreError> fail_next;  // of apply(); nothing is written

 private:
  template <class T>
  asio::awaitable<Result<T>> ask(asio::awaitable<Result<T>> question);
  asio::awaitable<void> disk_time();
  void break_promise(Batch& batch, bool& forget);

  Store& inner_;
  Quota& quota_;
  World& world_;
  const Power& power_;
  Plant plant_;
  unsigned counted_ = 0;
  asio::io_context private_;  // where the real store's answers arrive
  // Without it a thread of the store that counted, after its answer, that nothing was left to do could stop
  // the context in the middle of the next question.
  asio::executor_work_guard<asio::io_context::executor_type> open_{private_.get_executor()};
};

class GatedPolicyCache final : public PolicyCache {
 public:
  GatedPolicyCache(PolicyCache& inner, const Power& power, Plant plant)
      : inner_(inner), power_(power), plant_(plant) {}
  Result<std::vector<CachedPolicy>> load() override;
  Result<void> put(const CachedPolicy& policy) override;
  Result<void> erase(const DomainName& domain) override;

 private:
  PolicyCache& inner_;
  const Power& power_;
  Plant plant_;
};

class GatedLedgerStore final : public LedgerStore {
 public:
  GatedLedgerStore(LedgerStore& inner, const Power& power) : inner_(inner), power_(power) {}
  Result<void> add(const std::vector<LedgerRow>& rows) override;
  Result<std::vector<LedgerRow>> rows(std::chrono::sys_days day, const DomainName& domain) override;
  Result<void> erase(const std::vector<LedgerDay>& days) override;
  Result<std::vector<LedgerDay>> days_before(std::chrono::sys_days day) override;

 private:
  LedgerStore& inner_;
  const Power& power_;
};

class GatedReporterStore final : public ReporterStore {
 public:
  GatedReporterStore(ReporterStore& inner, const Power& power) : inner_(inner), power_(power) {}
  Result<std::size_t> freeze(const std::vector<ReportProgress>& reports) override;
  Result<std::vector<ReportProgress>> due(WallTime now, std::size_t limit) override;
  Result<std::optional<ReportProgress>> lease(std::chrono::sys_days day, const DomainName& domain,
                                              WallTime now, Duration lease) override;
  Result<void> save(const ReportProgress& report, bool release) override;
  Result<std::size_t> hurry(std::chrono::sys_days day, WallTime now) override;
  Result<void> mail_ended(const std::string& key, TargetState state, const std::string& reason) override;
  Result<void> suppress(const SuppressedAddress& address) override;
  Result<std::optional<SuppressedAddress>> suppressed(const std::string& address, WallTime now) override;
  Result<std::vector<SuppressedAddress>> all_suppressed(WallTime now) override;
  Result<std::vector<ReportProgress>> list(std::optional<std::chrono::sys_days> day, bool all,
                                           std::size_t limit) override;
  Result<std::vector<LedgerDay>> erasable(WallTime ended_before, std::size_t limit) override;
  Result<void> note_erased(const std::vector<LedgerDay>& days) override;
  Result<void> forget(WallTime ended_before, WallTime now) override;

 private:
  ReporterStore& inner_;
  const Power& power_;
};

}  // namespace holdfast::simulation
