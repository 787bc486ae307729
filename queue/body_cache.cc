#include "queue/body_cache.h"

namespace holdfast {
namespace {

constexpr std::size_t kOverhead = 256;  // octets of bookkeeping per message, about

}  // namespace

void BodyCache::put(const QueueId& id, std::shared_ptr<const MessageContent> content) {
  const std::lock_guard lock(mutex_);
  const std::size_t size = content->size() + kOverhead;
  if (size > limit_) return;
  if (!contents_.emplace(id, std::move(content)).second) return;
  size_ += size;
  order_.push_back(id);
  while (size_ > limit_ || order_.size() > 2 * contents_.size() + 64) {
    remove(order_.front());
    order_.pop_front();
  }
}

std::shared_ptr<const MessageContent> BodyCache::get(const QueueId& id) const {
  const std::lock_guard lock(mutex_);
  const auto found = contents_.find(id);
  return found == contents_.end() ? nullptr : found->second;
}

void BodyCache::drop(const QueueId& id) {
  const std::lock_guard lock(mutex_);
  remove(id);
}

void BodyCache::remove(const QueueId& id) {
  const auto found = contents_.find(id);
  if (found == contents_.end()) return;
  size_ -= found->second->size() + kOverhead;
  contents_.erase(found);
}

}  // namespace holdfast
