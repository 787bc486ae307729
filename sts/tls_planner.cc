#include "sts/tls_planner.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "sts/dane.h"

namespace holdfast {
namespace {

constexpr std::size_t kMaxName = 253;

// What the parallel lookups fill in; shared with them, so that nothing dangles however they end.
struct LookedUp {
  PlanRequest request;
  StsLookup sts;
  std::vector<MxFacts> facts;
};

// The TLSA set of one host reached by these addresses (RFC 7672 section 2.2.2): at each base domain in turn.
asio::awaitable<MxFacts> lookup_tlsa(Resolver& resolver, MxFacts facts, DomainName host, std::uint16_t port) {
  for (const DomainName& base : tlsa_base_domains(host, facts.addresses)) {
    const std::string name = "_" + std::to_string(port) + "._tcp." + base.text();
    if (name.size() > kMaxName) continue;  // no such name can exist
    const DnsAnswer answer = co_await resolver.query(name, RecordType::tlsa);
    facts.tlsa_base = base;
    facts.tlsa_status = answer.status;
    facts.tlsa_secure = answer.secure;
    facts.tlsa.clear();
    for (const RecordData& data : answer.records) {
      if (const auto* record = std::get_if<TlsaRecord>(&data)) facts.tlsa.push_back(*record);
    }
    // Not knowing is final: a set may be there. An insecure or absent one leaves the next base to ask.
    const bool absent = answer.status == DnsStatus::no_data || answer.status == DnsStatus::nx_domain;
    if (!absent && (answer.status != DnsStatus::ok || answer.secure)) break;
  }
  co_return facts;
}

class Planner final : public TlsPlanner {
 public:
  Planner(PolicyStore& policies, Resolver& resolver, Log& log, Metrics& metrics)
      : policies_(policies), resolver_(resolver), log_(log), metrics_(metrics) {}

  asio::awaitable<TlsPlan> plan(PlanRequest request) override {
    auto found = std::make_shared<LookedUp>();
    found->facts.resize(request.mx.hosts.size());
    found->request = std::move(request);
    const auto executor = co_await asio::this_coro::executor;
    using Job = decltype(asio::co_spawn(executor, look_up_policy(found), asio::deferred));
    std::vector<Job> jobs;
    jobs.reserve(found->facts.size() + 1);
    jobs.push_back(asio::co_spawn(executor, look_up_policy(found), asio::deferred));
    for (std::size_t i = 0; i < found->facts.size(); ++i) {
      jobs.push_back(asio::co_spawn(executor, look_up_host(found, i), asio::deferred));
    }
    auto group = asio::experimental::make_parallel_group(std::move(jobs));
    const auto wait_for_all = asio::experimental::wait_for_all();
    const auto [order, exceptions] = co_await group.async_wait(wait_for_all, asio::use_awaitable);
    for (const std::exception_ptr& exception : exceptions) {
      if (exception) std::rethrow_exception(exception);
    }
    TlsPlan plan = decide(found->request, found->sts, found->facts);
    record(*found, plan);
    co_return plan;
  }

 private:
  asio::awaitable<void> look_up_policy(std::shared_ptr<LookedUp> found) {
    co_await asio::this_coro::throw_if_cancelled(false);
    if (found->request.sts_mode == PolicyMode::off) co_return;
    found->sts = co_await policies_.lookup(found->request.next_hop, found->request.fresh);
  }

  asio::awaitable<void> look_up_host(std::shared_ptr<LookedUp> found, std::size_t index) {
    co_await asio::this_coro::throw_if_cancelled(false);
    const DomainName host = found->request.mx.hosts[index].name;
    if (host.empty()) co_return;
    MxFacts facts;
    facts.addresses = co_await lookup_addresses(resolver_, host, found->request.ip);
    // TLSA of a host that is not reached securely would prove nothing, and its name servers often fail on it.
    if (found->request.dane_mode != PolicyMode::off && facts.addresses.status == DnsStatus::ok) {
      facts = co_await lookup_tlsa(resolver_, std::move(facts), host, found->request.port);
      count(facts);
    }
    found->facts[index] = std::move(facts);
  }

  void count(const MxFacts& facts) {
    const char* result = "none";
    if (facts.addresses.alias_status != DnsStatus::ok) {
      result = "unknown";
    } else if (facts.tlsa_base.empty()) {
      result = "insecure";  // the way to the host; nothing was looked up
    } else if (facts.tlsa_status == DnsStatus::ok) {
      result = !facts.tlsa_secure ? "insecure" : usable_records(facts.tlsa).empty() ? "unusable" : "secure";
    } else if (facts.tlsa_status != DnsStatus::no_data && facts.tlsa_status != DnsStatus::nx_domain) {
      result = "unknown";
    }
    metrics_.counter("dane_lookups_total", {{"result", result}}).add();
  }

  // An unknown policy is never silent: it waited half an hour and now goes on as if there were none.
  void record(const LookedUp& found, const TlsPlan& plan) {
    if (found.request.sts_mode == PolicyMode::off || found.sts.state != StsLookup::State::unknown) return;
    metrics_.counter("sts_unknown_total", {{"result", plan.must_wait ? "waits" : "as-absent"}}).add();
    if (plan.must_wait) return;
    Fields fields;
    fields.add("domain", found.request.next_hop.text()).add("reason", found.sts.detail);
    log_.warning("whether there is an MTA-STS policy stayed unknown; going on as without one", fields);
  }

  PolicyStore& policies_;
  Resolver& resolver_;
  Log& log_;
  Metrics& metrics_;
};

}  // namespace

std::unique_ptr<TlsPlanner> make_tls_planner(PolicyStore& policies, Resolver& resolver, Log& log,
                                             Metrics& metrics) {
  return std::make_unique<Planner>(policies, resolver, log, metrics);
}

}  // namespace holdfast
