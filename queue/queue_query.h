// queue/queue_query.h — questions about the queue and its history, for whoever shows them: the admin API, the
// status page. Nothing here knows how an answer is shown.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "queue/store.h"

namespace holdfast {

// A queued recipient that was tried before is `deferred`, one in hand now is `active`; otherwise its state.
const char* shown_state(const QueueRow& row);
// What of the store's states a shown one is; nullopt when there is no such state.
std::optional<RecipientState> stored_state(std::string_view shown);

// Walks through all rows that match, a page at a time, so that memory does not grow with the answer.
class QueueWalk {
 public:
  // `shown`: only rows of this shown_state(); "" = any. `limit`: rows at the most; nullopt = all.
  QueueWalk(Store& store, QueueFilter filter, std::string shown, std::optional<std::uint64_t> limit);

  // The next rows; empty at the end. After an error nothing more comes.
  asio::awaitable<Result<std::vector<QueueRow>>> next();

 private:
  Store& store_;
  QueueFilter filter_;
  std::string shown_;
  std::optional<std::uint64_t> left_;
  bool ended_ = false;
};

// Everything that is known of one message.
struct MessageStory {
  std::shared_ptr<const MessageMeta> meta;
  std::vector<QueueRow> recipients;   // those that have ended too
  std::vector<HistoryEntry> history;  // oldest first
};
// nullopt: neither queued nor remembered.
asio::awaitable<Result<std::optional<MessageStory>>> find_message(Store& store, QueueId id);

}  // namespace holdfast
