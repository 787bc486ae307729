#include "queue/queue_query.h"

namespace holdfast {
namespace {

constexpr std::size_t kPage = 1000;

}  // namespace

const char* shown_state(const QueueRow& row) {
  if (row.state != RecipientState::queued) return name(row.state);
  if (row.in_hand) return "active";
  return row.attempts > 0 ? "deferred" : "queued";
}

std::optional<RecipientState> stored_state(std::string_view shown) {
  if (shown == "queued" || shown == "deferred" || shown == "active") return RecipientState::queued;
  for (auto state : {RecipientState::held, RecipientState::delivered, RecipientState::bounced,
                     RecipientState::expired, RecipientState::removed, RecipientState::damaged}) {
    if (shown == name(state)) return state;
  }
  return std::nullopt;
}

QueueWalk::QueueWalk(Store& store, QueueFilter filter, std::string shown, std::optional<std::uint64_t> limit)
    : store_(store), filter_(std::move(filter)), shown_(std::move(shown)), left_(limit) {
  filter_.limit = kPage;
}

asio::awaitable<Result<std::vector<QueueRow>>> QueueWalk::next() {
  std::vector<QueueRow> found;
  while (found.empty() && !ended_ && left_ != 0) {
    auto page = co_await store_.list(filter_);
    if (!page) {
      ended_ = true;
      co_return page.error();
    }
    ended_ = page->size() < kPage;
    if (!page->empty()) filter_.after = page->back().recipient;
    for (auto& row : *page) {
      if (left_ == 0) break;
      if (!shown_.empty() && shown_ != shown_state(row)) continue;
      if (left_) --*left_;
      found.push_back(std::move(row));
    }
  }
  co_return found;
}

asio::awaitable<Result<std::optional<MessageStory>>> find_message(Store& store, QueueId id) {
  QueueFilter filter;
  filter.id = id;
  filter.remembered = true;
  filter.limit = kPage;
  MessageStory story;
  while (true) {
    auto page = co_await store.list(filter);
    if (!page) co_return page.error();
    const bool last = page->size() < kPage;
    if (!page->empty()) filter.after = page->back().recipient;
    for (auto& row : *page) story.recipients.push_back(std::move(row));
    if (last) break;
  }
  auto history = co_await store.history(id);
  if (!history) co_return history.error();
  story.history = std::move(*history);
  std::optional<MessageStory> known;
  if (story.recipients.empty() && story.history.empty()) co_return known;
  if (story.recipients.empty()) {
    auto bare = std::make_shared<MessageMeta>();
    bare->id = id;
    story.meta = std::move(bare);
  } else {
    story.meta = story.recipients.front().meta;
  }
  known = std::move(story);
  co_return known;
}

}  // namespace holdfast
