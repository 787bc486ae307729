#include "tlsrpt/ledger.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <map>

#include "smtp/base/hop.h"
#include "tlsrpt/ledger_key.h"

namespace holdfast {

namespace {

// With the write itself, and a disk that takes its time, a crash costs less than a second of sessions.
constexpr auto kWriteInterval = std::chrono::milliseconds(500);

asio::awaitable<Result<void>> on_disk(std::function<Result<void>()> work) { co_return work(); }

SessionOutcome folded(SessionOutcome outcome) {
  outcome.sending_ip.clear();
  outcome.mx_host.clear();
  outcome.mx_helo.clear();
  outcome.receiving_ip.clear();
  outcome.reason_code.clear();
  outcome.additional_information = kFoldedNote;
  return outcome;
}

std::size_t policy_size(const AppliedPolicy& policy) { return policy.text.octets() + policy.mx.octets(); }

}  // namespace

bool can_fold_policy(const SessionOutcome& outcome) {
  const AppliedPolicy& policy = outcome.policy;
  if (policy.type == AppliedPolicy::Type::none) return false;
  // There is one such policy per domain, but as many TLSA base domains as the domain has names.
  return policy.type == AppliedPolicy::Type::tlsa || !policy.text.empty();
}

SessionOutcome fold_policy(SessionOutcome outcome) {
  outcome.policy.policy_domain = outcome.report_domain;
  outcome.policy.text = {kFurtherPolicies};
  outcome.policy.mx = {};
  return outcome;
}

std::vector<LedgerRow> fold_failures(std::vector<LedgerRow> rows) {
  std::map<std::pair<std::chrono::sys_days, std::string>, std::vector<LedgerRow*>> failures;
  std::vector<LedgerRow> kept;
  for (auto& row : rows) {
    const bool is_fold = row.outcome.additional_information == kFoldedNote;
    if (row.outcome.result == ResultType::success || is_fold) {
      kept.push_back(std::move(row));
    } else {
      failures[{row.outcome.day, row.outcome.report_domain.text()}].push_back(&row);
    }
  }
  std::map<std::string, LedgerRow> folds;
  for (auto& [where, group] : failures) {
    std::stable_sort(group.begin(), group.end(),
                     [](const auto* a, const auto* b) { return a->sessions > b->sessions; });
    for (std::size_t i = 0; i < group.size(); ++i) {
      if (i < kMaxFailureRows) {
        kept.push_back(std::move(*group[i]));
        continue;
      }
      SessionOutcome outcome = folded(group[i]->outcome);
      LedgerRow& fold = folds[ledger_key(outcome)];
      fold.outcome = std::move(outcome);
      fold.sessions += group[i]->sessions;
    }
  }
  // A fold that is there already takes the new one in.
  for (auto& row : kept) {
    if (row.outcome.additional_information != kFoldedNote) continue;
    const auto found = folds.find(ledger_key(row.outcome));
    if (found == folds.end()) continue;
    row.sessions += found->second.sessions;
    folds.erase(found);
  }
  for (auto& [key, row] : folds) kept.push_back(std::move(row));
  return kept;
}

DurableLedger::DurableLedger(LedgerStore& store, Executor executor, Executor blocking, Clock& clock, Log& log)
    : store_(store),
      executor_(executor),
      disk_(asio::make_strand(blocking)),
      clock_(clock),
      log_(log),
      tasks_(executor,
             [&log](std::string what) { log.error("ledger: an exception ended a task: " + what); }) {}

DurableLedger::~DurableLedger() = default;

void DurableLedger::record(SessionOutcome outcome) {
  std::string policy = policy_key(outcome.policy);  // before the lock: it reads all of the text
  const std::lock_guard lock(mutex_);
  outcome.day = std::max(outcome.day, first_open_);
  const bool full = counts_.size() >= kMaxRowsInMemory && !counts_.contains(ledger_key(outcome, policy));
  const bool large =
      !policies_.contains(policy) && policy_octets_ + policy_size(outcome.policy) > kMaxPolicyOctetsInMemory;
  if (full && outcome.result != ResultType::success) outcome = folded(std::move(outcome));
  if ((full || large) && can_fold_policy(outcome)) {
    outcome = fold_policy(std::move(outcome));
    policy = policy_key(outcome.policy);
  }
  add(std::move(outcome), policy, 1);
}

void DurableLedger::add(SessionOutcome outcome, const std::string& policy, std::uint64_t sessions) {
  auto& row = counts_[ledger_key(outcome, policy)];
  if (row.sessions == 0) {
    if (policies_.insert(policy).second) policy_octets_ += policy_size(outcome.policy);
    row.outcome = std::move(outcome);
  }
  row.sessions += sessions;
}

std::size_t DurableLedger::policy_octets() const {
  const std::lock_guard lock(mutex_);
  return policy_octets_;
}

std::vector<LedgerRow> DurableLedger::take() {
  std::unordered_map<std::string, LedgerRow> counts;
  {
    const std::lock_guard lock(mutex_);
    counts.swap(counts_);
    policies_.clear();
    policy_octets_ = 0;
  }
  std::vector<LedgerRow> rows;
  rows.reserve(counts.size());
  for (auto& [key, row] : counts) rows.push_back(std::move(row));
  return rows;
}

void DurableLedger::give_back(const std::vector<LedgerRow>& rows) {
  const std::lock_guard lock(mutex_);
  for (const auto& row : rows) add(row.outcome, policy_key(row.outcome.policy), row.sessions);
}

Result<void> DurableLedger::write_now() {
  const auto rows = take();
  if (rows.empty()) return {};
  auto written = store_.add(rows);
  if (!written) give_back(rows);
  return written;
}

asio::awaitable<Result<void>> DurableLedger::flush() {
  std::function<Result<void>()> work = [this] { return write_now(); };
  auto job = on_disk(std::move(work));
  co_return co_await hop(disk_, std::move(job));
}

asio::awaitable<Result<std::vector<LedgerRow>>> DurableLedger::rows(std::chrono::sys_days day,
                                                                    DomainName domain) {
  auto flushed = co_await flush();
  if (!flushed) co_return flushed.error();
  Result<std::vector<LedgerRow>> found = std::vector<LedgerRow>();
  std::function<Result<void>()> work = [&found, this, day, &domain]() -> Result<void> {
    found = store_.rows(day, domain);
    return {};
  };
  auto job = on_disk(std::move(work));
  auto done = co_await hop(disk_, std::move(job));
  if (!done) co_return done.error();
  co_return found;
}

asio::awaitable<Result<std::vector<LedgerDay>>> DurableLedger::close_before(std::chrono::sys_days day) {
  {
    const std::lock_guard lock(mutex_);
    first_open_ = day;
  }
  auto flushed = co_await flush();
  if (!flushed) co_return flushed.error();
  Result<std::vector<LedgerDay>> found = std::vector<LedgerDay>();
  std::function<Result<void>()> work = [&found, this, day]() -> Result<void> {
    found = store_.days_before(day);
    return {};
  };
  auto job = on_disk(std::move(work));
  auto done = co_await hop(disk_, std::move(job));
  if (!done) co_return done.error();
  co_return found;
}

asio::awaitable<Result<void>> DurableLedger::erase(std::vector<LedgerDay> days) {
  std::function<Result<void>()> work = [this, &days] { return store_.erase(days); };
  auto job = on_disk(std::move(work));
  co_return co_await hop(disk_, std::move(job));
}

void DurableLedger::start() {
  asio::post(executor_, [this] { tasks_.spawn(write_again_and_again()); });
}

asio::awaitable<void> DurableLedger::write_again_and_again() {
  bool failing = false;
  while (co_await sleep_for(clock_, kWriteInterval)) {
    auto written = co_await flush();
    if (!written && !failing) log_.error("the TLS ledger cannot be written: " + written.error().text());
    if (written && failing) log_.info("the TLS ledger is written again");
    failing = !written;
  }
}

asio::awaitable<void> DurableLedger::stop() {
  auto end = [](DurableLedger* self) -> asio::awaitable<void> {
    self->tasks_.stop();
    co_await self->tasks_.drained();
  }(this);
  co_await hop(executor_, std::move(end));
  auto written = co_await flush();
  if (!written) log_.error("the TLS ledger lost its last second: " + written.error().text());
}

}  // namespace holdfast
