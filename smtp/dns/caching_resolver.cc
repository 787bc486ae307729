#include "smtp/dns/caching_resolver.h"

#include <algorithm>
#include <optional>

#include "smtp/base/notifier.h"

namespace holdfast {
namespace {

// What an entry costs beyond its strings: list and hash nodes, the answer itself.
constexpr std::size_t kEntryOverhead = 400;

std::size_t size_of(const DnsAnswer& answer) {
  std::size_t octets = kEntryOverhead + answer.name.size() + answer.records.size() * sizeof(RecordData);
  for (const auto& record : answer.records) {
    if (const auto* text = std::get_if<std::string>(&record)) octets += text->size();
    if (const auto* mx = std::get_if<MxRecord>(&record)) octets += mx->exchange.size();
    if (const auto* tlsa = std::get_if<TlsaRecord>(&record)) octets += tlsa->data.size();
  }
  return octets;
}

}  // namespace

// A question under way, and those who wait for it.
struct CachingResolver::Flight {
  Notifier landed;
  std::optional<DnsAnswer> answer;
};

// Held by the one who asks. However its coroutine ends, the others go on: with the answer, or by asking anew.
struct CachingResolver::Lead {
  CachingResolver& cache;
  const Key& key;
  std::shared_ptr<Flight> flight = std::make_shared<Flight>();

  Lead(CachingResolver& owner, const Key& asked) : cache(owner), key(asked) { cache.flights_[key] = flight; }
  ~Lead() {
    cache.flights_.erase(key);
    flight->landed.notify();
  }
  Lead(const Lead&) = delete;
  Lead& operator=(const Lead&) = delete;
};

std::size_t CachingResolver::KeyHash::operator()(const Key& key) const noexcept {
  return std::hash<std::string>()(key.name) * 31 + static_cast<std::size_t>(key.type);
}

CachingResolver::CachingResolver(Resolver& next, Clock& clock, std::size_t max_octets)
    : next_(next), clock_(clock), max_octets_(max_octets) {}
CachingResolver::~CachingResolver() = default;

asio::awaitable<DnsAnswer> CachingResolver::query(std::string name, RecordType type) {
  const Key key{std::move(name), type};
  for (;;) {
    if (const auto* cached = find(key)) co_return *cached;
    const auto under_way = flights_.find(key);
    if (under_way == flights_.end()) break;
    const auto flight = under_way->second;
    const bool notified = co_await flight->landed.wait();
    if (!notified) {
      DnsAnswer stopped;
      stopped.name = key.name;
      co_return stopped;
    }
    if (flight->answer) co_return *flight->answer;
  }
  Lead lead(*this, key);
  auto answer = co_await next_.query(key.name, key.type);
  const bool cancelled = co_await is_cancelled();
  // A query that was cancelled says nothing about the name.
  if (!cancelled) {
    lead.flight->answer = answer;
    keep(key, answer);
  }
  co_return answer;
}

const DnsAnswer* CachingResolver::find(const Key& key) {
  const auto found = index_.find(key);
  if (found == index_.end()) return nullptr;
  const auto entry = found->second;
  const auto now = clock_.now();
  if (entry->expires <= now) {
    drop(entry);
    return nullptr;
  }
  entry->answer.ttl = std::chrono::ceil<std::chrono::seconds>(entry->expires - now);
  entries_.splice(entries_.begin(), entries_, entry);
  return &entry->answer;
}

void CachingResolver::keep(const Key& key, const DnsAnswer& answer) {
  const bool negative = answer.status == DnsStatus::no_data || answer.status == DnsStatus::nx_domain;
  if (answer.status != DnsStatus::ok && !negative) return;
  const auto ttl = std::min(answer.ttl, negative ? kLongestNegativeDnsCache : kLongestDnsCache);
  const auto octets = size_of(answer) + 2 * key.name.size();
  if (ttl <= std::chrono::seconds(0) || octets > max_octets_) return;
  if (const auto old = index_.find(key); old != index_.end()) drop(old->second);
  while (octets_ + octets > max_octets_) drop(std::prev(entries_.end()));
  entries_.push_front(Entry{key, answer, clock_.now() + ttl, octets});
  index_[key] = entries_.begin();
  octets_ += octets;
}

void CachingResolver::drop(std::list<Entry>::iterator entry) {
  octets_ -= entry->octets;
  index_.erase(entry->key);
  entries_.erase(entry);
}

void CachingResolver::clear() {
  entries_.clear();
  index_.clear();
  octets_ = 0;
}

}  // namespace holdfast
