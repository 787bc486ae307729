// The part of the MemoryStore that reads: what is due, claims, contents, lists.
#include <algorithm>
#include <tuple>

#include "tests/fakes/memory_store.h"

namespace holdfast {
namespace {

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

}  // namespace holdfast
