// tlsrpt/ledger.h — the account of TLS sessions: counted in memory, on disk within a second.
//
// Procedure: record() adds to a count in memory; a task writes what has gathered twice a second, and stop()
// the rest. A crash loses less than the last second's sessions (invariant 39), never a day. What is on
// disk is one row per (node, day, report domain, policy, result, failure tuple) with its count.
//
// Bounds: per day and report domain at most kMaxFailureRows rows of failures; above it the smallest are
// folded into one row per policy and result that says so. And at most kMaxPoliciesOfADay policies with
// kMaxPolicyOctetsOfADay of text: a domain may show a new one every minute, or with every session. Sessions
// under further ones are counted together, under a policy that says so. No count is lost. Nothing here can
// fail a delivery: a write that fails is logged and tried again with the next.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "smtp/base/clock.h"
#include "smtp/base/log.h"
#include "smtp/base/task_group.h"
#include "tlsrpt/outcome.h"

namespace holdfast {

inline constexpr std::size_t kMaxFailureRows = 200;
inline constexpr std::size_t kMaxRowsInMemory = 50'000;  // between two writes; more are folded at once
inline constexpr std::string_view kFoldedNote = "further failures, folded together";
inline constexpr std::size_t kMaxPoliciesOfADay = 100;
inline constexpr std::size_t kMaxPolicyOctetsOfADay = 1024 * 1024;         // a report holds 4 MiB
inline constexpr std::size_t kMaxPolicyOctetsInMemory = 32 * 1024 * 1024;  // between two writes
inline constexpr const char* kFurtherPolicies = "further policies of the day, counted together";

struct LedgerRow {
  SessionOutcome outcome;
  std::uint64_t sessions = 0;
};

// One report's worth of sessions.
struct LedgerDay {
  std::chrono::sys_days day;
  DomainName domain;
};

// The durable part, an engine interface. One thread at a time.
class LedgerStore {
 public:
  virtual ~LedgerStore() = default;
  // Adds the counts to what is there; all of it durable on return, or none. A row whose day is closed for its
  // domain, since the reporter has frozen that report, counts in the first open day after it.
  virtual Result<void> add(const std::vector<LedgerRow>& rows) = 0;
  // All nodes' rows of a day, their counts summed; `domain` empty = every report domain. Sorted by domain,
  // policy.
  virtual Result<std::vector<LedgerRow>> rows(std::chrono::sys_days day, const DomainName& domain) = 0;
  virtual Result<void> erase(const std::vector<LedgerDay>& days) = 0;
  // What holds sessions of a day before this one.
  virtual Result<std::vector<LedgerDay>> days_before(std::chrono::sys_days day) = 0;
};

// data_dir/tlsrpt.db. `node` names this relay in its rows.
Result<std::unique_ptr<LedgerStore>> open_ledger_store(const std::filesystem::path& file, std::string node);

// Keeps at most kMaxFailureRows failures per day and report domain and folds the smallest of the others.
// Pure.
std::vector<LedgerRow> fold_failures(std::vector<LedgerRow> rows);

// Whether sessions under it may be counted with others: never where no text says which policy it was, since
// that is how a policy that could not be had is told (RFC 8460 section 4.3).
bool can_fold_policy(const SessionOutcome& outcome);
// The same session under kFurtherPolicies of its type.
SessionOutcome fold_policy(SessionOutcome outcome);

class DurableLedger final : public Ledger {
 public:
  // Writes on `blocking`, one write at a time; the timer runs on `executor`. All references outlive it.
  DurableLedger(LedgerStore& store, Executor executor, Executor blocking, Clock& clock, Log& log);
  ~DurableLedger() override;  // after stop() has returned

  void record(SessionOutcome outcome) override;
  void start();                  // the writing; on any thread
  asio::awaitable<void> stop();  // writes the rest
  // Writes what has gathered. On any executor.
  asio::awaitable<Result<void>> flush();
  // What is counted so far, memory included.
  asio::awaitable<Result<std::vector<LedgerRow>>> rows(std::chrono::sys_days day, DomainName domain);

  // Closes the days before `day` and tells which domains have sessions in them. A session of a closed day
  // that is recorded only now (its conversation went on over midnight) counts in the first open day, so that
  // each is in exactly one report (invariant 39). A clock that was set back opens again what no report was
  // made of; what was frozen stays closed (LedgerStore::add), over restarts, too.
  asio::awaitable<Result<std::vector<LedgerDay>>> close_before(std::chrono::sys_days day);
  asio::awaitable<Result<void>> erase(std::vector<LedgerDay> days);

  // What the policies take whose sessions wait to be written.
  std::size_t policy_octets() const;

 private:
  asio::awaitable<void> write_again_and_again();
  Result<void> write_now();
  std::vector<LedgerRow> take();
  void give_back(const std::vector<LedgerRow>& rows);
  void add(SessionOutcome outcome, const std::string& policy, std::uint64_t sessions);

  LedgerStore& store_;
  Executor executor_;
  Executor disk_;  // a strand on `blocking`
  Clock& clock_;
  Log& log_;
  TaskGroup tasks_;
  mutable std::mutex mutex_;  // guards what follows; never held across I/O
  std::chrono::sys_days first_open_{};
  std::unordered_map<std::string, LedgerRow> counts_;
  std::unordered_set<std::string> policies_;  // keys of those in counts_
  std::size_t policy_octets_ = 0;             // of these
};

}  // namespace holdfast
