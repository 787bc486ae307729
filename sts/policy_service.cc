#include "sts/policy_service.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>

#include "smtp/base/base_error.h"
#include "smtp/base/hop.h"
#include "smtp/base/notifier.h"
#include "sts/record.h"

namespace holdfast {
namespace {

constexpr Duration kLookEvery = std::chrono::minutes(1);     // the record, per domain
constexpr Duration kFirstBackOff = std::chrono::minutes(5);  // protocol.md; doubles
constexpr Duration kLongestBackOff = std::chrono::hours(1);
constexpr Duration kSweepEvery = std::chrono::minutes(1);
constexpr Duration kSpreadAfterStart = std::chrono::minutes(10);  // what fell due while we were down
constexpr std::size_t kRefreshesAtOnce = 8;
constexpr std::size_t kMaxName = 253;

std::size_t octets_of(const CachedPolicy& policy) {
  std::size_t octets = policy.domain.text().size() + policy.id.size();
  for (const std::string& line : policy.policy.lines) octets += line.size();
  return octets;
}

StsError sts_error_of(const Error& error) {
  if (error.code.category() == EnumCategory<StsError>::instance())
    return static_cast<StsError>(error.code.value());
  return error.is(BaseError::timed_out) ? StsError::timed_out : StsError::connect_failed;
}

}  // namespace

struct PolicyService::Flight {
  explicit Flight(Want w) : want(w) {}
  Want want;
  bool decided = false;  // too late to ask for more
  bool landed = false;   // `result` is there
  StsLookup result;
  Notifier done;
};

struct PolicyService::Domain {
  enum class Record { unlooked, unknown, absent, invalid, present };

  std::optional<CachedPolicy> policy;  // may have expired
  bool loaded = false;                 // at start, not fetched in this run
  SteadyTime refresh_at{};

  Record record = Record::unlooked;
  std::string id;      // of the record, when present
  std::string detail;  // why it is not
  SteadyTime looked{};

  std::string failed_id;
  std::optional<Error> failure;  // of the last fetch, for failed_id
  SteadyTime retry_at{};
  Duration back_off{};
  std::string alarmed;  // what sts_downgrade was last raised for

  SteadyTime used{};
  std::shared_ptr<Flight> flight;
};

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
  const WallTime now = timeline_.now();
  for (CachedPolicy& row : *rows) {
    if (row.expires <= now) {
      if (auto erased = p_.cache.erase(row.domain); !erased) return erased.error();
      continue;
    }
    auto& domain = domains_[row.domain];
    domain = std::make_unique<Domain>();
    domain->loaded = true;
    domain->used = timeline_.to_steady(row.fetched);
    install(*domain, std::move(row));
  }
  for (const DomainName& name : evict(nullptr)) {
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

void PolicyService::note_record(const DomainName& name, Domain& domain, const DnsAnswer& answer) {
  domain.looked = p_.clock.now();
  domain.id.clear();
  domain.detail.clear();
  // Only "no such name" and "no such data" mean that there is none; everything else is not knowing.
  if (answer.status == DnsStatus::ok) {
    std::vector<std::string> txt;
    for (const RecordData& data : answer.records) {
      if (const auto* text = std::get_if<std::string>(&data)) txt.push_back(*text);
    }
    auto record = find_sts_record(txt);
    if (!record) {
      domain.record = Domain::Record::invalid;
      domain.detail = record.error().text();
    } else if (*record) {
      domain.record = Domain::Record::present;
      domain.id = (*record)->id;
    } else {
      domain.record = Domain::Record::absent;
    }
  } else if (answer.status == DnsStatus::no_data || answer.status == DnsStatus::nx_domain) {
    domain.record = Domain::Record::absent;
  } else {
    domain.record = Domain::Record::unknown;
    domain.detail =
        std::string("the lookup of _mta-sts.") + name.text() + " failed: " + describe(answer.status);
    return;
  }
  if (domain.record == Domain::Record::present) {
    if (domain.alarmed == "record-vanished") domain.alarmed.clear();
  } else if (in_force(domain) && domain.policy->policy.mode != StsMode::none &&
             domain.alarmed != "record-vanished") {
    domain.alarmed = "record-vanished";
    downgrade(name, "record-vanished", *domain.policy,
              domain.detail.empty() ? "no _mta-sts record" : domain.detail);
  }
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

void PolicyService::note_success(const DomainName& name, Domain& domain, const CachedPolicy& fetched) {
  p_.metrics.counter("sts_fetch_total", {{"result", "ok"}}).add();
  domain.failure.reset();
  domain.failed_id.clear();
  domain.back_off = {};
  const bool held = in_force(domain);
  if (held && domain.policy->policy.mode == StsMode::enforce && fetched.policy.mode != StsMode::enforce) {
    downgrade(name, "weaker-policy", *domain.policy,
              std::string("enforce to ") + holdfast::name(fetched.policy.mode));
  }
  domain.alarmed.clear();
  if (held && domain.policy->id == fetched.id && domain.policy->policy == fetched.policy) return;
  Fields fields;
  fields.add("domain", name.text()).add("change", held ? "replaced" : "new").add("id", fetched.id);
  fields.add("mode", holdfast::name(fetched.policy.mode))
      .add("max_age", static_cast<std::int64_t>(fetched.policy.max_age.count()));
  std::string mx;
  for (const std::string& pattern : fetched.policy.mx) mx += (mx.empty() ? "" : " ") + pattern;
  p_.log.event("sts_policy", fields.add("mx", mx));
}

void PolicyService::note_failure(const DomainName& name, Domain& domain, const Error& error) {
  const StsError cause = sts_error_of(error);
  p_.metrics.counter("sts_fetch_total", {{"result", holdfast::name(cause)}}).add();
  const bool held = in_force(domain), present = domain.record == Domain::Record::present;
  const std::string id = present || !domain.policy ? domain.id : domain.policy->id;
  const bool again = domain.failure && domain.failed_id == id;
  domain.back_off = again ? std::min(2 * domain.back_off, kLongestBackOff) : kFirstBackOff;
  domain.failure = error;
  domain.failed_id = id;
  domain.retry_at = p_.clock.now() + domain.back_off;
  domain.refresh_at = std::max(domain.refresh_at, domain.retry_at);

  Fields fields;
  fields.add("domain", name.text())
      .add("change", "fetch-failed")
      .add("id", id)
      .add("cause", holdfast::name(cause));
  fields.add("reason", error.text()).add("held", held ? holdfast::name(domain.policy->policy.mode) : "");
  p_.log.event("sts_policy", fields);
  // A new id whose policy cannot be had: exactly how one would try to shake an enforce policy off.
  const std::string alarm = "fetch-failed " + id;
  if (held && domain.policy->policy.mode != StsMode::none && domain.policy->id != id &&
      domain.alarmed != alarm) {
    domain.alarmed = alarm;
    downgrade(name, "fetch-failed", *domain.policy, "new id " + id + ": " + error.text());
  }
}

void PolicyService::downgrade(const DomainName& name, std::string_view cause, const CachedPolicy& held,
                              std::string_view detail) {
  p_.metrics.counter("sts_downgrade_total").add();
  Fields fields;
  fields.add("domain", name.text()).add("cause", cause).add("mode", holdfast::name(held.policy.mode));
  p_.log.event("sts_downgrade", fields.add("id", held.id).add("reason", detail));
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

SteadyTime PolicyService::next_refresh(const CachedPolicy& policy) const {
  const Duration refresh = p_.settings.current()->sts.refresh;
  // Well before it expires; but one that lives for minutes is fetched when it is needed.
  const Duration life = std::max<Duration>(policy.policy.max_age * 3 / 4, kFirstBackOff);
  const auto part_of = [this](Duration time, double least) {
    const double part = least + (1.0 - least) * p_.random.unit();
    return std::chrono::duration_cast<Duration>(time * part);
  };
  const SteadyTime due = timeline_.to_steady(policy.fetched) + part_of(std::min(refresh, life), 0.9);
  const SteadyTime now = p_.clock.now();
  return due > now ? due : now + part_of(kSpreadAfterStart, 0.0);
}

void PolicyService::install(Domain& domain, CachedPolicy policy) {
  if (domain.policy) octets_ -= octets_of(*domain.policy);
  octets_ += octets_of(policy);
  domain.refresh_at = next_refresh(policy);
  domain.policy = std::move(policy);
}

PolicyService::Domain& PolicyService::at(const DomainName& name) {
  if (const auto found = domains_.find(name); found != domains_.end()) return *found->second;
  auto domain = std::make_unique<Domain>();
  domain->used = p_.clock.now();
  Domain& made = *domain;
  domains_.emplace(name, std::move(domain));
  erase_later(evict(&made));
  return made;
}

void PolicyService::drop(const DomainName& name) {
  const auto found = domains_.find(name);
  if (found == domains_.end()) return;
  if (found->second->policy) octets_ -= octets_of(*found->second->policy);
  domains_.erase(found);
}

std::vector<DomainName> PolicyService::evict(const Domain* keep) {
  std::vector<DomainName> rows;
  if (domains_.size() <= limits_.domains && octets_ <= limits_.octets) return rows;
  struct Candidate {
    int rank;  // 0 no policy in force, 1 testing or none, 2 enforce
    SteadyTime used;
    DomainName name;
  };
  std::vector<Candidate> candidates;
  for (const auto& [name, domain] : domains_) {
    if (domain->flight || domain.get() == keep) continue;  // someone is about to use it
    const int rank = !in_force(*domain) ? 0 : domain->policy->policy.mode == StsMode::enforce ? 2 : 1;
    candidates.push_back({rank, domain->used, name});
  }
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    return std::tie(a.rank, a.used) < std::tie(b.rank, b.used);
  });
  // A twentieth more than needed, so that this is not done at every new domain; but no enforce policy beyond
  // need.
  const auto over = [&](int rank) {
    const std::size_t slack = rank == 2 ? 0 : 20;
    const auto goal = [slack](std::size_t limit) { return slack == 0 ? limit : limit - limit / slack; };
    return domains_.size() > goal(limits_.domains) || octets_ > goal(limits_.octets);
  };
  for (const Candidate& candidate : candidates) {
    if (!over(candidate.rank)) break;
    if (candidate.rank == 2) {
      Fields fields;
      fields.add("domain", candidate.name.text());
      p_.log.warning("the policy cache is full of enforce policies; one in force is given up", fields);
    }
    if (domains_.at(candidate.name)->policy) rows.push_back(candidate.name);
    drop(candidate.name);
  }
  return rows;
}

void PolicyService::erase_later(std::vector<DomainName> rows) {
  if (!rows.empty()) tasks_.spawn(erase_rows(std::move(rows)));
}

asio::awaitable<void> PolicyService::erase_rows(std::vector<DomainName> domains) {
  for (const DomainName& name : domains) {
    // Fetched again meanwhile: its row is a new one.
    if (const auto found = domains_.find(name); found != domains_.end() && found->second->policy) continue;
    auto row = erase_row(name);
    auto erased = co_await hop(disk_, std::move(row));
    if (erased) continue;
    Fields fields;
    fields.add("domain", name.text()).add("reason", erased.error().text());
    p_.log.error("a row of the policy cache could not be erased", fields);
  }
}

asio::awaitable<void> PolicyService::refresh_forever() {
  while (true) {
    const bool due = co_await sleep_for(p_.clock, kSweepEvery);
    if (!due) co_return;
    sweep();
  }
}

// Starts what is due and forgets what ran out and was not asked for since.
void PolicyService::sweep() {
  const SteadyTime now = p_.clock.now();
  std::vector<DomainName> due, gone;
  std::size_t flying = 0;
  for (const auto& [name, domain] : domains_) {
    if (domain->flight) {
      ++flying;
    } else if (in_force(*domain)) {
      if (now >= domain->refresh_at) due.push_back(name);
    } else if (domain->policy || now >= domain->used + kLongestBackOff) {
      gone.push_back(name);
    }
  }
  std::sort(due.begin(), due.end(), [this](const DomainName& a, const DomainName& b) {
    return domains_.at(a)->refresh_at < domains_.at(b)->refresh_at;
  });
  if (due.size() + flying > kRefreshesAtOnce)
    due.resize(flying < kRefreshesAtOnce ? kRefreshesAtOnce - flying : 0);
  // One that lands at once may make room by dropping others.
  for (const DomainName& name : due) {
    if (const auto found = domains_.find(name); found != domains_.end() && !found->second->flight) {
      take_off(name, *found->second, Want::scheduled);
    }
  }

  std::vector<DomainName> rows;
  for (const DomainName& name : gone) {
    const auto found = domains_.find(name);
    if (found == domains_.end()) continue;
    Domain& domain = *found->second;
    if (domain.policy) {
      Fields fields;
      p_.log.event("sts_policy",
                   fields.add("domain", name.text()).add("change", "expired").add("id", domain.policy->id));
      octets_ -= octets_of(*domain.policy);
      domain.policy.reset();
      rows.push_back(name);
    }
    if (now >= domain.used + kLongestBackOff) drop(name);
  }
  erase_later(std::move(rows));
}

asio::awaitable<std::vector<PolicyEntry>> PolicyService::list() {
  std::vector<PolicyEntry> all;
  for (const auto& [name, domain] : domains_) {
    if (!in_force(*domain)) continue;
    PolicyEntry entry;
    entry.cached = *domain->policy;
    entry.source = domain->loaded ? "cache" : "fetched";
    entry.refresh =
        timeline_.now() + std::chrono::floor<std::chrono::microseconds>(domain->refresh_at - p_.clock.now());
    if (domain->failure) entry.failure = domain->failure->text();
    all.push_back(std::move(entry));
  }
  std::sort(all.begin(), all.end(),
            [](const PolicyEntry& a, const PolicyEntry& b) { return a.cached.domain < b.cached.domain; });
  co_return all;
}

asio::awaitable<std::size_t> PolicyService::forget(std::optional<DomainName> domain) {
  std::vector<DomainName> rows;
  for (auto& [name, known] : domains_) {
    if (domain && name != *domain) continue;
    if (known->policy) {
      rows.push_back(name);
      octets_ -= octets_of(*known->policy);
      known->policy.reset();
    }
    known->record = Domain::Record::unlooked;
    known->failure.reset();
    known->failed_id.clear();
    known->alarmed.clear();
  }
  const std::size_t count = rows.size();
  co_await erase_rows(std::move(rows));
  co_return count;
}

}  // namespace holdfast
