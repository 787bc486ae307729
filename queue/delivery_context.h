// queue/delivery_context.h — what one worker's deliveries work with. Plain references: everything outlives
// the deliverer.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "queue/connection_budget.h"
#include "queue/store.h"
#include "smtp/base/log.h"
#include "smtp/base/metrics.h"
#include "smtp/base/random.h"
#include "smtp/client/connector.h"
#include "smtp/dns/resolver.h"
#include "smtp/tls/tls_context.h"
#include "sts/tls_planner.h"
#include "tlsrpt/outcome.h"

namespace holdfast {

class MessageSigner;

struct DeliveryContext {
  Executor executor;  // the worker's; resolver, planner and connector are used on it
  Clock& clock;
  const Timeline& timeline;  // the one by which messages were accepted
  Random& random;
  Log& log;
  Metrics& metrics;
  Store& store;
  Resolver& resolver;
  TlsPlanner& planner;
  Connector& connector;
  std::function<std::shared_ptr<const TlsClientContexts>()> tls;  // of now: a reload may change the roots
  Ledger& ledger;
  ConnectionBudget& budget;  // shared by all workers
  OriginObserver* observer = nullptr;
  MessageSigner* signer = nullptr;  // of notifications; nullptr: they go out unsigned
};

// Addresses that could not be connected to a moment ago. A delivery asks the others first, and these only
// when there is nothing else. One per worker.
class DeadAddresses {
 public:
  void add(const IpBytes& ip, std::uint16_t port, SteadyTime now);
  void remove(const IpBytes& ip, std::uint16_t port) { dead_.erase({ip, port}); }
  bool has(const IpBytes& ip, std::uint16_t port, SteadyTime now) const;
  // When it is forgotten; the clock's zero when it is not remembered.
  SteadyTime until(const IpBytes& ip, std::uint16_t port) const;
  void clear() { dead_.clear(); }

 private:
  std::map<std::pair<IpBytes, std::uint16_t>, SteadyTime> dead_;
};

// Metric objects are looked up once per label set: a lookup takes a lock.
class DeliveryMetrics {
 public:
  explicit DeliveryMetrics(Metrics& metrics);
  Counter& attempts(const std::string& result, const std::string& tls_policy);
  Counter& sessions(const std::string& policy, const std::string& result_type);
  // Sessions that went on though enforcing would have refused them; `cause`: "exception", "observe" or
  // "tls-required-no".
  Counter& lowered(const std::string& cause, const std::string& result_type);
  Histogram& duration() { return duration_; }
  Histogram& delay() { return delay_; }

 private:
  Metrics& metrics_;
  Histogram& duration_;
  Histogram& delay_;
  std::map<std::pair<std::string, std::string>, Counter*> attempts_, sessions_, lowered_;
};

}  // namespace holdfast
