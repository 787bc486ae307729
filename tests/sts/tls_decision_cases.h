// tests/sts/tls_decision_cases.h — what decide() may be asked: policies, facts about an MX, messages.
#pragma once

#include <string>
#include <vector>

#include "sts/tls_planner.h"
#include "tests/fakes/domain.h"

namespace holdfast::decision {

inline const DomainName kDomain = domain("example.com");
inline const DomainName kMx = domain("mx.example.com");
inline const WallTime kNow = std::chrono::sys_days(std::chrono::year(2026) / 3 / 10) + std::chrono::hours(12);
inline const TlsaRecord kPlanTlsa{3, 1, 1, std::string(32, 'a')};
inline const TlsaRecord kUnusable{1, 1, 1, std::string(32, 'a')};

inline StsLookup sts(StsMode mode, std::vector<std::string> mx = {"*.example.com"}) {
  CachedPolicy cached;
  cached.domain = kDomain;
  cached.id = "1";
  cached.policy.mode = mode;
  cached.policy.mx = std::move(mx);
  cached.policy.lines = {"version: STSv1", std::string("mode: ") + name(mode)};
  return {.state = StsLookup::State::present, .cached = cached, .fetch_failure = {}, .detail = ""};
}
inline StsLookup absent() {
  return {.state = StsLookup::State::absent, .cached = {}, .fetch_failure = {}, .detail = ""};
}
inline StsLookup unknown() {
  return {.state = StsLookup::State::unknown, .cached = {}, .fetch_failure = {}, .detail = "SERVFAIL"};
}
inline StsLookup failed() {
  return {.state = StsLookup::State::absent,
          .cached = {},
          .fetch_failure = StsError::http_status,
          .detail = "404"};
}

inline PlanRequest request(std::vector<DomainName> hosts = {kMx}) {
  PlanRequest r;
  r.next_hop = kDomain;
  r.mx.domain = kDomain;
  r.mx.verdict = MxVerdict::ok;
  for (const DomainName& host : hosts) r.mx.hosts.push_back({host, 10});
  r.now = kNow;
  return r;
}

inline MxFacts facts() {
  MxFacts f;
  f.addresses.status = DnsStatus::ok;
  f.addresses.canonical = kMx.text();
  f.addresses.addresses = {IpBytes{}};
  return f;
}
inline MxFacts dane(std::vector<TlsaRecord> records = {kPlanTlsa}) {
  MxFacts f = facts();
  f.addresses.secure = true;
  f.tlsa_status = DnsStatus::ok;
  f.tlsa_secure = true;
  f.tlsa_base = kMx;
  f.tlsa = std::move(records);
  return f;
}
inline MxFacts tlsa_failing(DnsStatus status) {
  MxFacts f = dane({});
  f.tlsa_status = status;
  f.tlsa_secure = false;
  return f;
}

inline MxPlan one(const PlanRequest& r, const StsLookup& s, const MxFacts& f) {
  return decide(r, s, {f}).mx.at(0);
}

inline ExceptionSettings exception(std::vector<Relaxation> allow) {
  ExceptionSettings e;
  e.domain = "example.com";
  e.allow = std::move(allow);
  e.reason = "ticket 4711";
  e.until = std::chrono::year(2026) / 3 / 10;
  return e;
}

using Type = AppliedPolicy::Type;
inline std::vector<Type> types(const MxPlan& plan) {
  std::vector<Type> found;
  for (const AppliedPolicy& policy : plan.policies) found.push_back(policy.type);
  return found;
}

}  // namespace holdfast::decision
