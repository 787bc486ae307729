// queue/body_cache.h — the content of fresh messages, so that their first delivery reads nothing from the
// disk.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "queue/store.h"

namespace holdfast {

struct MessageContent {
  std::string prefix;
  std::shared_ptr<const std::string> body;
  std::string suffix;
  std::size_t size() const { return prefix.size() + body->size() + suffix.size(); }
};

// Thread-safe. Bounded by octets; the oldest goes first.
class BodyCache {
 public:
  explicit BodyCache(std::size_t limit) : limit_(limit) {}
  void put(const QueueId& id, std::shared_ptr<const MessageContent> content);
  std::shared_ptr<const MessageContent> get(const QueueId& id) const;
  void drop(const QueueId& id);

 private:
  void remove(const QueueId& id);

  mutable std::mutex mutex_;
  std::size_t limit_;
  std::size_t size_ = 0;
  std::unordered_map<QueueId, std::shared_ptr<const MessageContent>> contents_;
  std::deque<QueueId> order_;  // also of some that were dropped
};

}  // namespace holdfast
