// tests/fakes/memory_store.h — a Store in memory, for tests of what stands on it. Keeps every rule of
// queue/store.h but durability (tests/queue/store_conformance.h). Nothing suspends: each call is done when it
// returns. In two files: what writes (memory_store.cc), what reads and claims (memory_store_read.cc).
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "queue/store.h"
#include "queue/store_quota.h"
#include "smtp/server/quota.h"

namespace holdfast {

class MemoryStore final : public Store, public Quota {
 public:
  explicit MemoryStore(Clock& clock) : timeline_(clock), clock_(clock) {}

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
  bool low_on_space() const override { return low_on_space_; }
  bool failed() const override { return failed_; }
  asio::awaitable<void> close() override;
  asio::awaitable<Result<bool>> take(std::string key, Rate rate, std::uint64_t n) override;

  // Faults. `fail_next` is the error of the next apply(); failed_for_good stays.
  void fail_next(StoreError error);
  // The error of each apply() whose batch it names; nullptr: none.
  using Fault = std::function<std::optional<StoreError>(const Batch&)>;
  void fail_where(Fault fault);
  void set_low_on_space(bool low) { low_on_space_ = low; }
  // A copy of the whole content of a message: prefix, body, suffix; nullopt when it is gone.
  std::optional<std::string> content(QueueId id) const;
  std::uint64_t applied() const { return applied_; }

 private:
  struct Message {
    std::shared_ptr<const MessageMeta> meta;
    std::string prefix, suffix;
    std::shared_ptr<const std::string> body;
    std::size_t live = 0;  // recipients that have not ended; at 0 the content goes
  };
  struct Recipient {
    QueueId message;
    Mailbox address;
    RecipientDsn dsn;
    RecipientState state = RecipientState::queued;
    WallTime next_attempt{};
    unsigned attempts = 0;
    bool delay_notice_sent = false;
    bool policy = false;
    std::string reason, mx;
    std::optional<WallTime> ended;
    ClaimToken token;  // 0: in nobody's hand
    SteadyTime leased_until{};
  };

  Result<ApplyResult> apply_now(Batch& batch);
  Result<void> check(const Batch& batch) const;
  Accepted accept(Accept& accept);
  bool in_hand(const Recipient& recipient) const;
  bool history_holds(QueueId id, std::string_view text) const;
  bool claimable(const Recipient& recipient, WallTime now) const;
  void end(RecipientId id, Recipient& recipient, RecipientState state, std::string reason);
  void change(RecipientId id, const OperatorChange& change);
  ClaimedRecipient claimed(RecipientId id, const Recipient& recipient) const;

  Timeline timeline_;
  Clock& clock_;
  mutable std::mutex mutex_;
  std::map<QueueId, Message> messages_;
  std::map<RecipientId, Recipient> recipients_;
  std::map<std::string, std::set<RecipientId>> by_domain_;  // those not ended
  std::map<std::string, QueueId> keys_;
  std::map<QueueId, std::vector<HistoryEntry>> history_;
  std::map<std::string, TokenBucket> buckets_;
  RecipientId last_recipient_ = 0;
  std::uint64_t last_token_ = 0;
  std::string after_domain_;  // due() goes round robin
  std::optional<StoreError> fail_next_;
  Fault fault_;
  std::atomic<bool> low_on_space_ = false;
  std::atomic<bool> failed_ = false;
  std::atomic<std::uint64_t> applied_ = 0;
  bool closed_ = false;
};

}  // namespace holdfast
