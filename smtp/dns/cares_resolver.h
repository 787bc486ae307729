// smtp/dns/cares_resolver.h — the Resolver that asks real servers, by c-ares on Asio's sockets and our Clock.
//
// One per worker, used on its executor only. Procedure of query(): make the question (EDNS, AD bit set so
// that the answer tells whether it was validated, RFC 6840 section 5.7), send it raw, read the answer by
// dns_message.h; an alias whose target is missing is asked for in turn, kMaxCnameHops in all. c-ares turns to
// the next server after SERVFAIL, REFUSED or a time-out, and to TCP after a truncated answer.
//
// Destroying the resolver ends its pending queries with server_failure. A cancelled query returns at once.
#pragma once

#include <memory>

#include "config/settings.h"
#include "smtp/base/clock.h"
#include "smtp/base/metrics.h"
#include "smtp/base/random.h"
#include "smtp/dns/dns_servers.h"
#include "smtp/dns/resolver.h"

namespace holdfast {

class CaresResolver final : public Resolver {
 public:
  // `timeout` bounds a query over all servers and tries. The references outlive the resolver.
  static Result<std::unique_ptr<CaresResolver>> create(Executor executor, Clock& clock, Random& random,
                                                       Metrics& metrics, const DnsServers& servers,
                                                       Millis timeout);
  ~CaresResolver() override;

  asio::awaitable<DnsAnswer> query(std::string name, RecordType type) override;

  struct Channel;

 private:
  explicit CaresResolver(std::shared_ptr<Channel> channel);
  std::shared_ptr<Channel> channel_;
};

// Whether the resolver validates: the root's SOA must come with a believed AD bit. For `dnssec = "required"`.
asio::awaitable<bool> validates_dnssec(Resolver& resolver);

}  // namespace holdfast
