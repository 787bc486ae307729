// tests/world/dns_server.h — a resolver that knows the world's names. UDP and TCP, on one port.
//
// It answers as a recursive, validating resolver would: CNAMEs are followed, the AD bit is set when every
// name on the way is marked secure, negative answers carry an SOA. Everything may be changed while it runs.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/world/dns_wire.h"
#include "tests/world/net.h"

namespace holdfast::world {

enum class DnsFault {
  none,
  servfail,  // also what a validating resolver says of bogus data
  nxdomain,
  refused,
  timeout,   // no answer at all
  truncate,  // over UDP only the TC bit; the whole over TCP
  garbage,   // bytes that are no DNS message
};

class DnsServer {
 public:
  DnsServer();
  ~DnsServer();
  Endpoint endpoint() const { return endpoint_; }

  // Adds a record in zone-file form: add("enforce.test", "MX", "10 mx.enforce.test").
  void add(const std::string& name, const std::string& type, const std::string& value);
  void add_txt(const std::string& name, const std::vector<std::string>& strings);
  void remove(const std::string& name, const std::string& type);
  void replace(const std::string& name, const std::string& type, const std::string& value);

  // Whether this name and all below it are DNSSEC-secure; the longest match counts.
  void set_secure(const std::string& name, bool secure);
  // What happens to queries for this name; type "*" means any. DnsFault::none ends it.
  void set_fault(const std::string& name, const std::string& type, DnsFault fault);
  void set_ttl(std::uint32_t seconds);           // of all answers from now on; 1 at first
  void set_negative_ttl(std::uint32_t seconds);  // 1 at first

  std::size_t queries() const;
  std::size_t queries(const std::string& name, const std::string& type) const;
  std::size_t tcp_queries() const;

  // What a query would be answered with; nullopt for no answer. Public for the world's own tests.
  std::optional<std::string> answer(std::string_view message, bool tcp);

 private:
  void serve_udp();
  void serve_tcp(Wire& wire);
  DnsAnswer look_up(const std::string& name, std::uint16_t type) const;
  bool is_secure(const std::string& name) const;
  bool exists(const std::string& name) const;

  mutable std::mutex mutex_;
  std::map<std::pair<std::string, std::uint16_t>, std::vector<std::string>> records_;
  std::map<std::string, bool> secure_;
  std::map<std::pair<std::string, std::uint16_t>, DnsFault> faults_;  // type 0: any
  std::map<std::pair<std::string, std::uint16_t>, std::size_t> counts_;
  std::size_t total_ = 0, tcp_total_ = 0;
  std::uint32_t ttl_ = 1, negative_ttl_ = 1;

  Endpoint endpoint_;
  Fd udp_, wake_;
  std::unique_ptr<Listener> tcp_;
  std::thread udp_thread_;
};

}  // namespace holdfast::world
