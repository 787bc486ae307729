// tests/fakes/zone_resolver.h — a Resolver that answers from zone data given by the test.
//
//   ZoneResolver dns;
//   dns.sign("example");                       // everything below is DNSSEC-secure, absences too
//   dns.mx("a.example", 10, "mx.a.example");
//   dns.address("mx.a.example", "192.0.2.1");
//   dns.fail("_25._tcp.mx.a.example", RecordType::tlsa, DnsStatus::server_failure);
//
// CNAMEs are followed as the real resolver does. A name that has no record and none below it does not exist.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "smtp/dns/resolver.h"

namespace holdfast {

// Thread-safe.
class ZoneResolver final : public Resolver {
 public:
  asio::awaitable<DnsAnswer> query(std::string name, RecordType type) override;
  DnsAnswer answer(const std::string& name, RecordType type) const;  // without counting the query

  void address(const std::string& name, const std::string& ip);  // A or AAAA
  void mx(const std::string& name, std::uint16_t preference,
          const std::string& exchange);  // "." or "": null MX
  void txt(const std::string& name, const std::string& text);
  void tlsa(const std::string& name, TlsaRecord record);
  void ptr(const std::string& name, const std::string& target);
  void cname(const std::string& name, const std::string& target);
  // An alias that only questions of this type are told of, as a forger may answer them.
  void cname(const std::string& name, const std::string& target, RecordType asked);
  void add(const std::string& name, RecordType type, RecordData data);
  void remove(const std::string& name, RecordType type);

  void sign(const std::string& domain);                                    // the domain and what is below it
  void set_secure(const std::string& name, RecordType type, bool secure);  // overrides sign() for one RRset
  void fail(const std::string& name, RecordType type, DnsStatus status);   // until heal() or remove()
  void fail(const std::string& name, DnsStatus status);                    // all types
  void heal(const std::string& name);
  void set_ttl(std::chrono::seconds ttl);

  // Called before each answer: to wait, count, or change the zone in the middle.
  void on_query(std::function<asio::awaitable<void>(std::string name, RecordType type)> hook);
  std::vector<std::pair<std::string, RecordType>> queries() const;  // in order
  std::size_t count(const std::string& name, RecordType type) const;

 private:
  using Key = std::pair<std::string, RecordType>;
  bool is_secure(const std::string& name, RecordType type) const;
  bool exists(const std::string& name) const;
  const std::string* alias_of(const std::string& name, RecordType type) const;
  std::optional<DnsStatus> failure(const std::string& name, RecordType type) const;

  mutable std::mutex mutex_;
  std::map<Key, std::vector<RecordData>> records_;
  std::map<Key, std::string> typed_aliases_;
  std::set<std::string> signed_;
  std::map<Key, bool> secure_;
  std::map<Key, DnsStatus> failures_;
  std::map<std::string, DnsStatus> name_failures_;
  std::vector<Key> queries_;
  std::chrono::seconds ttl_{300};
  std::function<asio::awaitable<void>(std::string, RecordType)> hook_;
};

}  // namespace holdfast
