#include "tests/fakes/memory_store.h"

#include <algorithm>
#include <tuple>

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

class MemoryStoredBody final : public StoredBody {
 public:
  explicit MemoryStoredBody(std::vector<std::string> parts) : parts_(std::move(parts)) {}
  asio::awaitable<Result<std::string_view>> next() override {
    while (at_ < parts_.size() && parts_[at_].empty()) ++at_;
    co_return at_ < parts_.size() ? std::string_view(parts_[at_++]) : std::string_view();
  }
  std::uint64_t size() const override {
    std::uint64_t all = 0;
    for (const auto& part : parts_) all += part.size();
    return all;
  }
  bool in_memory() const override { return true; }

 private:
  std::vector<std::string> parts_;
  std::size_t at_ = 0;
};

bool contains(std::string_view text, std::string_view part) {
  auto equal = [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) == std::tolower(static_cast<unsigned char>(b));
  };
  return part.empty() || std::search(text.begin(), text.end(), part.begin(), part.end(), equal) != text.end();
}

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
      recipient.next_attempt = timeline_.now();
      return;
    case OperatorChange::What::retry:
      if (recipient.state == RecipientState::queued && !in_hand(recipient))
        recipient.next_attempt = timeline_.now();
      return;
    case OperatorChange::What::remove:
      end(id, recipient, RecipientState::removed, "removed by the operator");
      return;
    case OperatorChange::What::bounce: end(id, recipient, RecipientState::bounced, change.reason); return;
  }
}

ClaimedRecipient MemoryStore::claimed(RecipientId id, const Recipient& recipient) const {
  return {id, recipient.address, recipient.dsn, recipient.attempts, recipient.delay_notice_sent};
}

asio::awaitable<Result<Due>> MemoryStore::due(WallTime now, std::size_t limit) {
  const std::lock_guard lock(mutex_);
  Due due;
  auto look_at = [&](const std::string& domain, const std::set<RecipientId>& ids) {
    std::uint64_t count = 0;
    for (const RecipientId id : ids) {
      const Recipient& recipient = recipients_.at(id);
      if (recipient.state != RecipientState::queued || in_hand(recipient)) continue;
      if (recipient.next_attempt <= now) {
        if (count < 1000) ++count;
      } else if (!due.next || recipient.next_attempt < *due.next) {
        due.next = recipient.next_attempt;
      }
    }
    if (count > 0 && due.domains.size() < limit) due.domains.push_back({domain, count});
  };
  const auto start = by_domain_.upper_bound(after_domain_);
  for (auto at = start; at != by_domain_.end(); ++at) look_at(at->first, at->second);
  for (auto at = by_domain_.begin(); at != start; ++at) look_at(at->first, at->second);
  if (!due.domains.empty()) after_domain_ = due.domains.back().domain;
  co_return due;
}

asio::awaitable<Result<std::vector<Claim>>> MemoryStore::claim(std::vector<std::string> domains,
                                                               std::size_t n, WallTime now, std::string,
                                                               Duration lease) {
  const std::lock_guard lock(mutex_);
  std::vector<std::tuple<WallTime, RecipientId>> found;
  for (const auto& domain : domains) {
    const auto of_domain = by_domain_.find(domain);
    if (of_domain == by_domain_.end()) continue;
    for (const RecipientId id : of_domain->second)
      if (const Recipient& recipient = recipients_.at(id); claimable(recipient, now))
        found.emplace_back(recipient.next_attempt, id);
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  if (found.size() > n) found.resize(n);
  std::vector<Claim> claims;
  std::map<std::pair<QueueId, std::string>, std::size_t> groups;
  for (const auto& [at, id] : found) {
    Recipient& recipient = recipients_.at(id);
    const auto [group, fresh] =
        groups.try_emplace({recipient.message, recipient.address.domain()}, claims.size());
    if (fresh)
      claims.push_back(Claim{
          ClaimToken{++last_token_}, messages_.at(recipient.message).meta, recipient.address.domain(), {}});
    Claim& into = claims[group->second];
    recipient.token = into.token;
    recipient.leased_until = clock_.now() + lease;
    into.recipients.push_back(claimed(id, recipient));
  }
  co_return claims;
}

asio::awaitable<Result<bool>> MemoryStore::renew(ClaimToken token, Duration lease) {
  const std::lock_guard lock(mutex_);
  bool any = false;
  for (auto& [id, recipient] : recipients_) {
    if (token.value == 0 || recipient.token != token || recipient.state != RecipientState::queued) continue;
    recipient.leased_until = clock_.now() + lease;
    any = true;
  }
  co_return any;
}

asio::awaitable<Result<std::unique_ptr<StoredBody>>> MemoryStore::open_body(QueueId id) {
  const std::lock_guard lock(mutex_);
  const auto found = messages_.find(id);
  if (found == messages_.end() || found->second.live == 0) co_return Error(StoreError::not_found, id.text());
  std::vector<std::string> parts = {found->second.prefix, *found->second.body, found->second.suffix};
  std::unique_ptr<StoredBody> body = std::make_unique<MemoryStoredBody>(std::move(parts));
  co_return body;
}

std::optional<std::string> MemoryStore::content(QueueId id) const {
  const std::lock_guard lock(mutex_);
  const auto found = messages_.find(id);
  if (found == messages_.end() || found->second.live == 0) return std::nullopt;
  return found->second.prefix + *found->second.body + found->second.suffix;
}

asio::awaitable<Result<std::string>> MemoryStore::read_header(QueueId id) {
  auto all = content(id);
  if (!all) co_return Error(StoreError::not_found, id.text());
  const auto end = all->find("\r\n\r\n");
  if (end != std::string::npos) all->resize(end + 2);
  co_return *all;
}

bool MemoryStore::history_holds(QueueId id, std::string_view text) const {
  const auto found = history_.find(id);
  return found != history_.end() &&
         std::any_of(found->second.begin(), found->second.end(),
                     [&](const HistoryEntry& entry) { return contains(entry.detail, text); });
}

asio::awaitable<Result<std::vector<QueueRow>>> MemoryStore::list(QueueFilter filter) {
  const std::lock_guard lock(mutex_);
  std::vector<RecipientId> order;
  for (const auto& [id, recipient] : recipients_) order.push_back(id);
  if (filter.newest_first) std::reverse(order.begin(), order.end());
  std::vector<QueueRow> rows;
  for (const RecipientId id : order) {
    if (rows.size() == filter.limit) break;
    if (filter.after != 0 && (filter.newest_first ? id >= filter.after : id <= filter.after)) continue;
    const Recipient& recipient = recipients_.at(id);
    const auto& meta = messages_.at(recipient.message).meta;
    const bool wanted =
        filter.state ? recipient.state == *filter.state : filter.remembered || !has_ended(recipient.state);
    if (!wanted || (filter.id && recipient.message != *filter.id)) continue;
    if (!filter.domain.empty() && recipient.address.domain() != filter.domain) continue;
    if (filter.accepted_before && meta->accepted >= *filter.accepted_before) continue;
    if (filter.accepted_since && meta->accepted < *filter.accepted_since) continue;
    if (!contains(recipient.address.text(), filter.to) || !contains(meta->reverse_path.text(), filter.from))
      continue;
    if (!filter.user.empty() && meta->user != filter.user) continue;
    if (!contains(recipient.reason, filter.error) &&
        !(filter.remembered && history_holds(meta->id, filter.error)))
      continue;
    QueueRow row;
    row.recipient = id;
    row.meta = meta;
    row.to = recipient.address.text();
    row.state = recipient.state;
    row.in_hand = in_hand(recipient);
    row.attempts = recipient.attempts;
    row.next_attempt = recipient.next_attempt;
    row.reason = recipient.reason;
    row.policy = recipient.policy;
    row.address = recipient.address;
    row.dsn = recipient.dsn;
    row.mx = recipient.mx;
    row.ended = recipient.ended;
    rows.push_back(std::move(row));
  }
  co_return rows;
}

asio::awaitable<Result<std::vector<HistoryEntry>>> MemoryStore::history(QueueId id) {
  const std::lock_guard lock(mutex_);
  const auto found = history_.find(id);
  co_return found == history_.end() ? std::vector<HistoryEntry>() : found->second;
}

asio::awaitable<Result<StoreStats>> MemoryStore::stats() {
  const std::lock_guard lock(mutex_);
  StoreStats stats;
  for (const auto& [id, message] : messages_) {
    if (message.live == 0) continue;
    ++stats.messages;
    stats.bytes += message.meta->prefix_size + message.meta->body_size;
    if (!stats.oldest || message.meta->accepted < *stats.oldest) stats.oldest = message.meta->accepted;
  }
  for (const auto& [id, recipient] : recipients_) {
    if (recipient.state == RecipientState::held) ++stats.recipients_held;
    if (recipient.state == RecipientState::damaged) ++stats.damaged;
    if (recipient.state == RecipientState::queued)
      ++(recipient.attempts == 0 ? stats.recipients_queued : stats.recipients_deferred);
  }
  stats.free_bytes = stats.total_bytes = std::uint64_t{1} << 40;
  co_return stats;
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

}  // namespace holdfast
