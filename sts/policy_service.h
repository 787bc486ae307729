// sts/policy_service.h — the policy store: what is cached, when to look and fetch again, and the alarms.
//
// The procedure of a lookup stands in policy_store.h. Beyond it:
//  - One update (record, and fetch where due) is in flight per domain; all who ask meanwhile wait for it.
//  - A failed fetch is not repeated for the same id for 5 minutes, then doubling up to an hour. A new id
//  starts anew.
//  - Policies in force are fetched again every `sts.refresh` (jittered, and before they expire), whatever DNS
//    says of the record; what expires first goes first. max_age restarts at each success.
//  - sts_downgrade is raised, once per cause, when an enforce policy is replaced by a weaker one, when the
//  record
//    of a policy in force vanishes, and when the policy of a new id cannot be had.
//  - At most Limits::domains are kept; those without a policy go first, then testing and none, the least
//  recently
//    used first; an unexpired enforce policy goes only when there is nothing else.
//
// Lives on one executor; lookup, refresh, entries, flush and stop hop to it and may be called from any.
// Expiry follows the Timeline: wall-clock jumps while the relay runs change nothing. A wrong clock at its
// start passes, too: what seems to be fetched in the future counts from now, and the rows of expired policies
// stay on disk for some days of running, in which a start with the right clock finds them again.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/settings_source.h"
#include "smtp/base/log.h"
#include "smtp/base/metrics.h"
#include "smtp/base/random.h"
#include "smtp/base/task_group.h"
#include "smtp/dns/resolver.h"
#include "sts/policy_fetcher.h"
#include "sts/policy_store.h"

namespace holdfast {

struct PolicyEntry {
  CachedPolicy cached;
  std::string source;   // "fetched" in this run, or "cache" when it was loaded at start
  WallTime refresh{};   // when it is fetched again
  std::string failure;  // why the last fetch failed, "" when it did not
};

class PolicyService final : public PolicyStore {
 public:
  struct Limits {
    std::size_t domains = 20'000;
    std::size_t octets = 64 * 1024 * 1024;  // of policies, as they stand in memory
  };
  // `blocking` runs the cache's disk work, one piece at a time. All references outlive the service.
  struct Parts {
    Executor executor, blocking;
    Clock& clock;
    Random& random;
    Resolver& resolver;  // of `executor`, as the fetcher
    PolicyFetcher& fetcher;
    PolicyCache& cache;
    const SettingsSource& settings;
    Log& log;
    Metrics& metrics;
  };
  explicit PolicyService(Parts parts, Limits limits);
  explicit PolicyService(Parts parts) : PolicyService(std::move(parts), Limits()) {}
  ~PolicyService() override;  // after stop() has returned

  // Reads the cache; before everything else, on any thread.
  Result<void> load();
  // Begins the proactive refresh. On any thread.
  void start();
  asio::awaitable<void> stop();

  asio::awaitable<StsLookup> lookup(DomainName domain, bool fresh) override;
  // Looks and fetches now, without regard to back-off; also for a domain never seen.
  asio::awaitable<StsLookup> refresh(DomainName domain);
  asio::awaitable<std::vector<PolicyEntry>> entries();  // what is in force, by domain
  // Forgets one domain or all: the operator's word. How many policies went.
  asio::awaitable<std::size_t> flush(std::optional<DomainName> domain);

 private:
  enum class Want {
    cached,
    fresh,
    scheduled,
    forced
  };  // each asks for at least what those before it ask for
  struct Flight;
  struct Domain;
  struct Landing;

  asio::awaitable<StsLookup> look(DomainName name, Want want);
  std::shared_ptr<Flight> take_off(const DomainName& name, Domain& domain, Want want);
  asio::awaitable<void> update(DomainName name, std::shared_ptr<Flight> flight);
  asio::awaitable<void> fetch(DomainName name, Domain& domain);
  asio::awaitable<void> refresh_forever();
  asio::awaitable<void> refresh_due();
  asio::awaitable<std::vector<PolicyEntry>> list();
  asio::awaitable<std::size_t> forget(std::optional<DomainName> domain);
  asio::awaitable<void> drain();
  asio::awaitable<Result<void>> put_row(CachedPolicy policy);
  asio::awaitable<Result<void>> erase_row(DomainName domain);
  asio::awaitable<void> erase_rows(std::vector<DomainName> domains);

  Domain& at(const DomainName& name);
  bool in_force(const Domain& domain) const;
  bool looked_lately(const Domain& domain) const;
  bool fetch_due(const Domain& domain, Want want) const;
  StsLookup answer(const Domain& domain) const;
  void note_record(const DomainName& name, Domain& domain, const DnsAnswer& answer);
  void note_success(const DomainName& name, Domain& domain, const CachedPolicy& fetched);
  void note_failure(const DomainName& name, Domain& domain, const Error& error);
  void downgrade(const DomainName& name, std::string_view cause, const CachedPolicy& held,
                 std::string_view detail);
  SteadyTime next_refresh(const CachedPolicy& policy) const;
  SteadyTime soon() const;
  std::vector<DomainName> take_in(std::vector<CachedPolicy> rows);
  void keep_expired(const CachedPolicy& policy);
  void forget_expired(const DomainName& name);
  std::vector<DomainName> trim_expired();
  void install(Domain& domain, CachedPolicy policy);
  void drop(const DomainName& name);
  void sweep();
  // Makes room, never taking `keep`; returns whose rows are to be erased.
  std::vector<DomainName> evict(const Domain* keep);
  void erase_later(std::vector<DomainName> rows);

  Parts p_;
  Limits limits_;
  Executor disk_;  // a strand on `blocking`
  Timeline timeline_;
  TaskGroup tasks_;
  std::unordered_map<DomainName, std::unique_ptr<Domain>> domains_;
  std::size_t octets_ = 0;
  // Rows on disk whose policy has expired, as far as our clock can tell; bounded like what is in force.
  struct Expired {
    SteadyTime erase_at;
    WallTime expires;
    std::size_t octets;
  };
  std::unordered_map<DomainName, Expired> expired_;
  std::size_t expired_octets_ = 0;
  std::deque<DomainName> due_;  // to be refreshed, what expires first in front; made anew at each sweep
  std::size_t refreshers_ = 0;  // that work on it
};

}  // namespace holdfast
