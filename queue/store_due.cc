#include "queue/store_due.h"

namespace holdfast {

void DueIndex::to_future(Entry& entry, WallTime bound) {
  entry.second.bound = bound;
  entry.second.turn = ++last_turn_;
  entry.second.place = Domain::Place::future;
  future_.emplace(std::pair{bound, entry.second.turn}, &entry);
}

void DueIndex::to_ring(Entry& entry) {
  entry.second.place = Domain::Place::ring;
  ring_.push_back(&entry);
}

void DueIndex::touch(const std::string& domain, WallTime at) {
  const std::lock_guard lock(mutex_);
  const auto [found, fresh] = domains_.try_emplace(domain);
  Entry& entry = *found;
  ++entry.second.version;
  if (fresh) {
    to_future(entry, at);
  } else if (entry.second.place == Domain::Place::future) {
    if (at >= entry.second.bound) return;
    future_.erase({entry.second.bound, entry.second.turn});
    to_future(entry, at);
  }
}

std::size_t DueIndex::ready(WallTime now) {
  const std::lock_guard lock(mutex_);
  while (!future_.empty() && future_.begin()->first.first <= now) {
    Entry& entry = *future_.begin()->second;
    future_.erase(future_.begin());
    to_ring(entry);
  }
  return ring_.size();
}

std::optional<DueIndex::Candidate> DueIndex::next() {
  const std::lock_guard lock(mutex_);
  if (ring_.empty()) return std::nullopt;
  Entry& entry = *ring_.front();
  ring_.pop_front();
  entry.second.place = Domain::Place::out;
  return Candidate{entry.first, entry.second.version};
}

std::optional<std::pair<DueIndex::Candidate, WallTime>> DueIndex::earliest() {
  const std::lock_guard lock(mutex_);
  if (future_.empty()) return std::nullopt;
  const auto& [place, entry] = *future_.begin();
  return std::pair{Candidate{entry->first, entry->second.version}, place.first};
}

void DueIndex::report(const Candidate& candidate, bool due, std::optional<WallTime> next) {
  const std::lock_guard lock(mutex_);
  const auto found = domains_.find(candidate.domain);
  if (found == domains_.end() || found->second.place == Domain::Place::ring) return;
  Entry& entry = *found;
  const bool touched = entry.second.version != candidate.version;
  if (entry.second.place == Domain::Place::future) {
    if (touched) return;
    future_.erase({entry.second.bound, entry.second.turn});
  }
  if (due || touched) {
    to_ring(entry);  // looked at again in its turn
  } else if (next) {
    to_future(entry, *next);
  } else {
    domains_.erase(found);
  }
}

std::size_t DueIndex::size() const {
  const std::lock_guard lock(mutex_);
  return domains_.size();
}

}  // namespace holdfast
