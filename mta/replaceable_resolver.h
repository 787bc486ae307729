// mta/replaceable_resolver.h — a worker's resolver with its cache, which a reload of [dns] replaces as a
// whole: c-ares cannot change its servers while queries are pending.
#pragma once

#include <memory>

#include "smtp/dns/caching_resolver.h"
#include "smtp/dns/cares_resolver.h"

namespace holdfast {

// Used on its executor. `clock`, `random` and `metrics` outlive it.
class ReplaceableResolver final : public Resolver {
 public:
  ReplaceableResolver(Executor executor, Clock& clock, Random& random, Metrics& metrics)
      : executor_(executor), clock_(clock), random_(random), metrics_(metrics) {}

  // Before the first query, and on the executor afterwards. On an error the old one stays.
  Result<void> replace(const DnsServers& servers, Millis timeout);
  asio::awaitable<DnsAnswer> query(std::string name, RecordType type) override;
  Executor executor() const { return executor_; }
  void close() { current_.reset(); }  // at the end, on the executor: pending queries fail

 private:
  struct Pair;
  Executor executor_;
  Clock& clock_;
  Random& random_;
  Metrics& metrics_;
  std::shared_ptr<Pair> current_;
};

}  // namespace holdfast
