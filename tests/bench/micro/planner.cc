// The decision what a connection must prove, taken once per delivery attempt.
#include <benchmark/benchmark.h>

#include "sts/tls_planner.h"

namespace holdfast {
namespace {

void decide_for(benchmark::State& state) {
  PlanRequest request;
  request.next_hop = *DomainName::parse("example.com");
  request.mx.domain = request.next_hop;
  request.mx.verdict = MxVerdict::ok;
  std::vector<MxFacts> facts;
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    MxHost host;
    host.name = *DomainName::parse("mx" + std::to_string(i) + ".example.com");
    host.preference = 10;
    request.mx.hosts.push_back(host);
    MxFacts known;
    known.addresses.status = DnsStatus::ok;
    known.addresses.canonical = host.name.text();
    known.addresses.addresses = {IpBytes{}};
    facts.push_back(known);
  }
  StsLookup sts;
  sts.state = StsLookup::State::present;
  CachedPolicy cached;
  cached.domain = request.next_hop;
  cached.policy.mode = StsMode::enforce;
  cached.policy.mx = {"*.example.com"};
  sts.cached = cached;
  for (auto _ : state) benchmark::DoNotOptimize(decide(request, sts, facts));
}
BENCHMARK(decide_for)->Arg(1)->Arg(5);

}  // namespace
}  // namespace holdfast
