#include "sts/policy_service.h"

#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>

#include "smtp/base/base_error.h"
#include "smtp/base/hop.h"
#include "sts/policy_domain.h"

namespace holdfast {
namespace {

constexpr Duration kLookEvery = std::chrono::minutes(1);  // the record, per domain
constexpr std::size_t kMaxName = 253;

}  // namespace

// Ends a flight however update() ends, so that nobody waits for ever.
struct PolicyService::Landing {
  PolicyService& service;
  DomainName name;
  std::shared_ptr<Flight> flight;
  ~Landing() {
    if (const auto found = service.domains_.find(name);
        found != service.domains_.end() && found->second->flight == flight) {
      flight->result = service.answer(*found->second);
      found->second->flight.reset();
    }
    flight->landed = true;
    flight->done.notify();
  }
};

PolicyService::PolicyService(Parts parts, Limits limits)
    : p_(std::move(parts)),
      limits_(limits),
      disk_(asio::make_strand(p_.blocking)),
      timeline_(p_.clock),
      tasks_(p_.executor,
             [&log = p_.log](const std::string& what) { log.error("a policy update failed: " + what); }) {}

PolicyService::~PolicyService() = default;

Result<void> PolicyService::load() {
  auto rows = p_.cache.load();
  if (!rows) return rows.error();
  for (const DomainName& name : take_in(std::move(*rows))) {
    if (auto erased = p_.cache.erase(name); !erased) return erased.error();
  }
  return {};
}

void PolicyService::start() {
  asio::post(p_.executor, [this] { tasks_.spawn(refresh_forever()); });
}

asio::awaitable<void> PolicyService::stop() { co_await hop(p_.executor, drain()); }
asio::awaitable<void> PolicyService::drain() {
  tasks_.stop();
  co_await tasks_.drained();
}

asio::awaitable<StsLookup> PolicyService::lookup(DomainName domain, bool fresh) {
  const Want want = fresh ? Want::fresh : Want::cached;
  co_return co_await hop(p_.executor, look(std::move(domain), want));
}
asio::awaitable<StsLookup> PolicyService::refresh(DomainName domain) {
  co_return co_await hop(p_.executor, look(std::move(domain), Want::forced));
}
asio::awaitable<std::vector<PolicyEntry>> PolicyService::entries() {
  co_return co_await hop(p_.executor, list());
}
asio::awaitable<std::size_t> PolicyService::flush(std::optional<DomainName> domain) {
  co_return co_await hop(p_.executor, forget(std::move(domain)));
}

asio::awaitable<StsLookup> PolicyService::look(DomainName name, Want want) {
  while (true) {
    Domain& domain = at(name);
    domain.used = p_.clock.now();
    // A refresh under way holds nobody up who would not have waited without it.
    if (want == Want::cached && looked_lately(domain) && (!domain.flight || !fetch_due(domain, want))) {
      co_return answer(domain);
    }
    const auto flight = domain.flight ? domain.flight : take_off(name, domain, want);
    if (!flight) co_return answer(domain);
    if (flight->landed) co_return flight->result;  // nothing on its way had to wait
    if (!flight->decided) flight->want = std::max(flight->want, want);
    const bool ours = flight->want >= want;
    const bool notified = co_await flight->done.wait();
    if (!notified) {
      StsLookup stopped;
      stopped.detail = "the lookup was stopped";
      co_return stopped;
    }
    if (ours) co_return flight->result;
  }
}

// Null when the service stops. The update may have landed on return; `domain` is not to be relied on then.
std::shared_ptr<PolicyService::Flight> PolicyService::take_off(const DomainName& name, Domain& domain,
                                                               Want want) {
  auto flight = std::make_shared<Flight>(want);
  domain.flight = flight;
  if (tasks_.spawn(update(name, flight))) return flight;
  domain.flight.reset();
  return nullptr;
}

asio::awaitable<void> PolicyService::update(DomainName name, std::shared_ptr<Flight> flight) {
  const Landing landing{*this, name, flight};
  const std::string record_name = "_mta-sts." + name.text();
  DnsAnswer found;
  found.status = DnsStatus::nx_domain;  // no such name can exist
  if (record_name.size() <= kMaxName) found = co_await p_.resolver.query(record_name, RecordType::txt);
  if (tasks_.stopping()) co_return;
  Domain& domain = at(name);  // stays where it is while a flight is under way
  note_record(name, domain, found);
  flight->decided = true;
  if (fetch_due(domain, flight->want)) co_await fetch(name, domain);
}

bool PolicyService::in_force(const Domain& domain) const {
  if (!domain.policy) return false;
  const WallTime now = timeline_.now();
  // A max_age below the interval at which we look holds until the next look.
  return now < domain.policy->expires ||
         now < domain.policy->fetched + std::chrono::floor<std::chrono::microseconds>(kLookEvery);
}

bool PolicyService::looked_lately(const Domain& domain) const {
  if (domain.record == Domain::Record::unlooked || p_.clock.now() >= domain.looked + kLookEvery) return false;
  // The policy ran out since: a present record asks for a fetch.
  const bool expired =
      domain.record == Domain::Record::present && !in_force(domain) && domain.failed_id != domain.id;
  return !expired;
}

bool PolicyService::fetch_due(const Domain& domain, Want want) const {
  const bool have = in_force(domain), present = domain.record == Domain::Record::present;
  if (!have && !present) return false;
  if (want >= Want::scheduled) return true;
  const std::string& id = present ? domain.id : domain.policy->id;
  if (domain.failure && domain.failed_id == id && p_.clock.now() < domain.retry_at) return false;
  if (want == Want::fresh) return true;
  return present && (!have || domain.policy->id != domain.id);
}

asio::awaitable<void> PolicyService::fetch(DomainName name, Domain& domain) {
  auto policy = co_await p_.fetcher.fetch(name);
  if (!policy && (policy.error().is(BaseError::cancelled) || tasks_.stopping())) co_return;
  if (!policy) {
    note_failure(name, domain, policy.error());
    co_return;
  }
  CachedPolicy fetched;
  fetched.domain = name;
  fetched.id = domain.record == Domain::Record::present || !domain.policy ? domain.id : domain.policy->id;
  fetched.policy = std::move(*policy);
  fetched.fetched = timeline_.now();
  fetched.expires = fetched.fetched + fetched.policy.max_age;
  note_success(name, domain, fetched);
  domain.loaded = false;
  install(domain, fetched);
  auto row = put_row(std::move(fetched));
  auto stored = co_await hop(disk_, std::move(row));
  if (!stored) {
    Fields fields;
    fields.add("domain", name.text()).add("reason", stored.error().text());
    p_.log.error("a policy could not be stored; it is in force until the relay ends", fields);
  }
  erase_later(evict(&domain));
}

asio::awaitable<Result<void>> PolicyService::put_row(CachedPolicy policy) { co_return p_.cache.put(policy); }
asio::awaitable<Result<void>> PolicyService::erase_row(DomainName domain) {
  co_return p_.cache.erase(domain);
}

StsLookup PolicyService::answer(const Domain& domain) const {
  StsLookup result;
  result.detail = domain.detail;
  if (in_force(domain)) {
    result.state = StsLookup::State::present;
    result.cached = domain.policy;
    return result;
  }
  switch (domain.record) {
    case Domain::Record::unlooked:
    case Domain::Record::unknown: result.state = StsLookup::State::unknown; break;
    case Domain::Record::absent:
    case Domain::Record::invalid: result.state = StsLookup::State::absent; break;
    case Domain::Record::present:
      // Without a failure for this very id the fetch was stopped half-way: nothing is known yet.
      result.state = domain.failure && domain.failed_id == domain.id ? StsLookup::State::absent
                                                                     : StsLookup::State::unknown;
      if (result.state == StsLookup::State::absent) {
        result.fetch_failure = sts_error_of(*domain.failure);
        result.detail = domain.failure->text();
      }
  }
  return result;
}

}  // namespace holdfast
