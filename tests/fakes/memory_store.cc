#include "tests/fakes/memory_store.h"

#include <algorithm>

namespace holdfast {
namespace {

// Held ones were held while they were being tried.
bool may_be_in_hand(RecipientState state) {
  return state == RecipientState::queued || state == RecipientState::held;
}

class MemoryStagedBody final : public StagedBody {
 public:
  asio::awaitable<Result<void>> write(std::string_view chunk) override {
    text += chunk;
    co_return Result<void>();
  }
  asio::awaitable<Result<void>> finish() override { co_return Result<void>(); }
  std::uint64_t size() const override { return text.size(); }

  std::string text;
};

}  // namespace

std::unique_ptr<StagedBody> MemoryStore::stage_body() { return std::make_unique<MemoryStagedBody>(); }

asio::awaitable<Result<ApplyResult>> MemoryStore::apply(Batch batch) {
  const std::lock_guard lock(mutex_);
  co_return apply_now(batch);
}

Result<void> MemoryStore::check(const Batch& batch) const {
  for (std::size_t i = 0; i < batch.accept.size(); ++i) {
    const Accept& accept = batch.accept[i];
    if (!accept.meta.idempotency_key.empty() && keys_.contains(accept.meta.idempotency_key)) continue;
    if (accept.recipients.empty()) return Error(StoreError::rejected, "a message without recipients");
    bool twice = messages_.contains(accept.meta.id);
    for (std::size_t k = 0; k < i; ++k) twice = twice || batch.accept[k].meta.id == accept.meta.id;
    if (twice) return Error(StoreError::rejected, "queue id " + accept.meta.id.text() + " is taken");
    if (!accept.body_of) continue;
    const auto shared = messages_.find(*accept.body_of);
    if (shared == messages_.end() || shared->second.live == 0)
      return Error(StoreError::not_found, "body of " + accept.body_of->text());
  }
  for (const auto& item : batch.changes) {
    if (item.what != OperatorChange::What::bounce) continue;
    for (const RecipientId id : item.recipients) {
      const auto found = recipients_.find(id);
      if (found == recipients_.end() || has_ended(found->second.state))
        return Error(StoreError::rejected, "a recipient to be bounced has ended");
      if (found->second.state == RecipientState::queued && in_hand(found->second))
        return Error(StoreError::rejected, "a recipient to be bounced is in hand");
    }
  }
  return Result<void>();
}

Result<ApplyResult> MemoryStore::apply_now(Batch& batch) {
  if (closed_) return Error(StoreError::closed);
  if (failed_) return Error(StoreError::failed_for_good);
  if (fail_next_) {
    const StoreError error = *std::exchange(fail_next_, std::nullopt);
    if (error == StoreError::failed_for_good) failed_ = true;
    return error;
  }
  if (fault_) {
    if (const auto error = fault_(batch)) return *error;
  }
  ApplyResult result;
  if (batch.refuse_if_stale) {
    std::set<RecipientId> seen;
    auto look = [&](RecipientId id, ClaimToken token) {
      const auto found = recipients_.find(id);
      const bool good = seen.insert(id).second && found != recipients_.end() && token.value != 0 &&
                        found->second.token == token && may_be_in_hand(found->second.state);
      if (!good) result.stale.push_back(id);
    };
    for (const auto& item : batch.complete) look(item.recipient, item.token);
    for (const auto& item : batch.defer) look(item.recipient, item.token);
    result.refused = !result.stale.empty();
    if (result.refused) return result;
  }
  if (auto sound = check(batch); !sound) return sound.error();
  for (auto& item : batch.accept) result.accepted.push_back(accept(item));
  auto held = [&](RecipientId id, ClaimToken token) -> Recipient* {
    const auto found = recipients_.find(id);
    const bool good = found != recipients_.end() && token.value != 0 && found->second.token == token &&
                      may_be_in_hand(found->second.state);
    if (!good) result.stale.push_back(id);
    return good ? &found->second : nullptr;
  };
  for (auto& item : batch.complete)
    if (Recipient* recipient = held(item.recipient, item.token)) {
      recipient->mx = std::move(item.mx);
      end(item.recipient, *recipient, item.state, std::move(item.reply));
    }
  for (auto& item : batch.defer) {
    Recipient* recipient = held(item.recipient, item.token);
    if (recipient == nullptr) continue;
    recipient->token = {};
    recipient->next_attempt = item.next_attempt;
    if (item.count_attempt) ++recipient->attempts;
    recipient->delay_notice_sent = recipient->delay_notice_sent || item.delay_notice_sent;
    if (!item.reason.empty() || item.count_attempt) recipient->reason = std::move(item.reason);
    recipient->policy = item.policy;
  }
  for (const auto& item : batch.changes)
    for (const RecipientId id : item.recipients) change(id, item);
  for (auto& item : batch.history) history_[item.message].push_back(std::move(item));
  ++applied_;
  return result;
}

Accepted MemoryStore::accept(Accept& accept) {
  if (!accept.meta.idempotency_key.empty()) {
    const auto [known, fresh] = keys_.try_emplace(accept.meta.idempotency_key, accept.meta.id);
    if (!fresh) return Accepted{known->second, true, {}};
  }
  Message message;
  if (accept.body_of) {
    message.body = messages_.at(*accept.body_of).body;
  } else if (accept.body) {
    message.body =
        std::make_shared<std::string>(std::move(static_cast<MemoryStagedBody&>(*accept.body).text));
  } else {
    message.body = std::make_shared<std::string>();
  }
  accept.meta.prefix_size = accept.prefix.size();
  accept.meta.body_size = message.body->size();
  message.meta = std::make_shared<const MessageMeta>(std::move(accept.meta));
  message.prefix = std::move(accept.prefix);
  message.suffix = std::move(accept.suffix);
  message.live = accept.recipients.size();

  Accepted accepted{message.meta->id, false, {}};
  const bool claim = accept.claim && message.meta->release <= message.meta->accepted;
  std::map<std::string, Claim> claims;
  for (auto& item : accept.recipients) {
    Recipient recipient;
    recipient.message = message.meta->id;
    recipient.address = std::move(item.address);
    recipient.dsn = std::move(item.dsn);
    recipient.next_attempt = message.meta->release;
    const RecipientId id = ++last_recipient_;
    const std::string domain = recipient.address.domain();
    if (claim) {
      Claim& into = claims[domain];
      if (into.recipients.empty()) into = Claim{ClaimToken{++last_token_}, message.meta, domain, {}};
      recipient.token = into.token;
      recipient.leased_until = clock_.now() + kFirstLease;
      into.recipients.push_back(claimed(id, recipient));
    }
    by_domain_[domain].insert(id);
    recipients_.emplace(id, std::move(recipient));
  }
  for (auto& [domain, made] : claims) accepted.claims.push_back(std::move(made));
  messages_.emplace(accepted.id, std::move(message));
  return accepted;
}

bool MemoryStore::in_hand(const Recipient& recipient) const {
  return recipient.token.value != 0 && recipient.leased_until > clock_.now();
}

bool MemoryStore::claimable(const Recipient& recipient, WallTime now) const {
  return recipient.state == RecipientState::queued && recipient.next_attempt <= now && !in_hand(recipient);
}

void MemoryStore::end(RecipientId id, Recipient& recipient, RecipientState state, std::string reason) {
  recipient.state = state;
  recipient.token = {};
  recipient.reason = std::move(reason);
  if (!has_ended(state)) return;
  recipient.ended = timeline_.now();
  auto of_domain = by_domain_.find(recipient.address.domain());
  of_domain->second.erase(id);
  if (of_domain->second.empty()) by_domain_.erase(of_domain);
  Message& message = messages_.at(recipient.message);
  if (--message.live == 0) {
    message.prefix.clear();
    message.suffix.clear();
    message.body.reset();
  }
}

void MemoryStore::change(RecipientId id, const OperatorChange& change) {
  const auto found = recipients_.find(id);
  if (found == recipients_.end() || has_ended(found->second.state)) return;
  Recipient& recipient = found->second;
  switch (change.what) {
    case OperatorChange::What::hold:
      if (recipient.state != RecipientState::queued) return;
      recipient.state = RecipientState::held;
      if (!in_hand(recipient)) recipient.token = {};
      return;
    case OperatorChange::What::release:
      if (recipient.state != RecipientState::held) return;
      recipient.state = RecipientState::queued;
      recipient.next_attempt = std::max(timeline_.now(), messages_.at(recipient.message).meta->release);
      return;
    case OperatorChange::What::retry:
      if (recipient.state == RecipientState::queued && !in_hand(recipient))
        recipient.next_attempt = std::max(timeline_.now(), messages_.at(recipient.message).meta->release);
      return;
    case OperatorChange::What::remove:
      end(id, recipient, RecipientState::removed, "removed by the operator");
      return;
    case OperatorChange::What::bounce: end(id, recipient, RecipientState::bounced, change.reason); return;
  }
}

asio::awaitable<void> MemoryStore::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  co_return;
}

asio::awaitable<Result<bool>> MemoryStore::take(std::string key, Rate rate, std::uint64_t n) {
  const std::lock_guard lock(mutex_);
  const WallTime now = timeline_.now();
  auto [bucket, fresh] = buckets_.try_emplace(std::move(key), TokenBucket::full(rate, now));
  co_return bucket->second.take(rate, n, now);
}

void MemoryStore::fail_next(StoreError error) {
  const std::lock_guard lock(mutex_);
  fail_next_ = error;
}

void MemoryStore::fail_where(Fault fault) {
  const std::lock_guard lock(mutex_);
  fault_ = std::move(fault);
}

}  // namespace holdfast
