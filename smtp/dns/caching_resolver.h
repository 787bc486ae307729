// smtp/dns/caching_resolver.h — a cache before a Resolver, since c-ares 1.18 has none.
//
// Keeps answers with their AD bit for their TTL, absences too (RFC 2308); what is unknown (SERVFAIL,
// time-out, endless aliases) is never kept. Bounded in octets, the least recently used go first. The same
// question asked by several at once is sent once. One per worker, used on its executor only: no lock.
#pragma once

#include <list>
#include <memory>
#include <unordered_map>

#include "smtp/base/clock.h"
#include "smtp/dns/resolver.h"

namespace holdfast {

inline constexpr std::size_t kDnsCacheOctets = 8 * 1024 * 1024;
inline constexpr std::chrono::seconds kLongestDnsCache = std::chrono::hours(24);
inline constexpr std::chrono::seconds kLongestNegativeDnsCache = std::chrono::hours(1);

class CachingResolver final : public Resolver {
 public:
  // `next` and `clock` outlive it; so does it the queries that wait in it.
  CachingResolver(Resolver& next, Clock& clock, std::size_t max_octets = kDnsCacheOctets);
  ~CachingResolver() override;

  // As Resolver::query; `ttl` is what is left of it.
  asio::awaitable<DnsAnswer> query(std::string name, RecordType type) override;
  void clear();
  std::size_t octets() const { return octets_; }

 private:
  struct Key {
    std::string name;
    RecordType type;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const noexcept;
  };
  struct Entry {
    Key key;
    DnsAnswer answer;
    SteadyTime expires;
    std::size_t octets = 0;
  };
  struct Flight;
  struct Lead;

  const DnsAnswer* find(const Key& key);
  void keep(const Key& key, const DnsAnswer& answer);
  void drop(std::list<Entry>::iterator entry);

  Resolver& next_;
  Clock& clock_;
  const std::size_t max_octets_;
  std::size_t octets_ = 0;
  std::list<Entry> entries_;  // the most recently used first
  std::unordered_map<Key, std::list<Entry>::iterator, KeyHash> index_;
  std::unordered_map<Key, std::shared_ptr<Flight>, KeyHash> flights_;
};

}  // namespace holdfast
