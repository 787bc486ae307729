// sts/tls_planner.h — (next hop, its MXs) → what each connection must prove. RFC 8461, 7672, 8689.
//
// Whether cleartext is allowed is decided here and nowhere else. decide() is pure; TlsPlanner gathers what it
// needs (policy, TLSA) and calls it.
//
// Order of decision per MX:
//  1. MTA-STS enforce: an MX outside the policy is not usable; else PKIX of the MX name is required.
//  2. DANE, a secure TLSA set: usable records are required as well; all unusable: TLS without authentication;
//     TLSA unknown for a secure host: this MX is not usable now. Neither 1 nor 2 excuses the other.
//  3. MTA-STS testing: nothing required; what enforce would have required is watched.
//  4. REQUIRETLS: an MX that 1 or 2 (or a verified route) does not authenticate is not usable.
//  5. The floor (`delivery.tls`, a route's `tls`) raises.
//  6. An unexpired [[exception]] lowers what it names; `TLS-Required: No` lowers to opportunistic.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/settings.h"
#include "smtp/dns/mx_lookup.h"
#include "smtp/tls/requirement.h"
#include "smtp/tls/tls_class.h"
#include "sts/policy_store.h"

namespace holdfast {

// A policy that was applied to an MX, as a TLS report names it (RFC 8460 section 4.4).
struct AppliedPolicy {
  enum class Type { none, sts, tlsa } type = Type::none;
  DomainName policy_domain;            // sts: the next hop's domain; tlsa: the TLSA base domain
  std::vector<std::string> text;       // sts: policy lines; tlsa: "3 1 1 AB12…"
  std::vector<std::string> mx;         // sts: patterns
  StsMode mode = StsMode::none;        // sts only
  bool enforced = false;               // false: watched (testing, observe)
  bool operator==(const AppliedPolicy&) const = default;
};

// Why an MX may not be used, or what stands out. Findings go to the log, to `check` and into reports.
enum class PlanFinding {
  none = 0,
  mx_not_in_policy,      // enforce: not connected to; testing and observe: used all the same
  tlsa_unknown,          // secure host, TLSA lookup failed: not used now
  tlsa_all_unusable,
  sts_fetch_failed,      // record there, policy not to be had, nothing cached
  sts_unknown,           // record lookup failed, nothing cached
  not_authenticated,     // REQUIRETLS asks for more than this MX can prove
  exception_applied,
  address_unknown,       // the host's address lookup failed: neither secure nor insecure is known
};
const char* describe(PlanFinding finding);

struct MxPlan {
  MxHost mx;
  bool usable = true;
  PlanFinding finding = PlanFinding::none;  // why it is not usable, or what is to be recorded on use
  std::string detail;                       // for people: "mx.evil.example matches none of mx1.example, *.example"
  TlsRequirement requirement;
  std::vector<AppliedPolicy> policies;      // each counts the session in TLS-RPT
  HostAddresses addresses;
};

struct TlsPlan {
  std::vector<MxPlan> mx;            // in the order of preference
  bool must_wait = false;            // nothing may be tried now: the policy is unknown (SERVFAIL and the like)
  std::string why;                   // for must_wait and when no MX is usable; for people
  bool policy_forbids = false;       // no MX is usable because of policy: 4.7.5, never permanent at once
  std::optional<CachedPolicy> sts;   // in force
  std::optional<StsError> sts_fetch_failure;
  DomainName policy_domain;          // RFC 8461 section 3.4
};

struct RouteTlsDemand {
  RouteTls tls = RouteTls::verify;
  bool implicit_tls = false;
  TlsVersion min_version = TlsVersion::none;
};

struct PlanRequest {
  DomainName next_hop;        // recipient domain, or the domain or host named in the route's `via`
  MxSet mx;
  TlsClass message;
  std::optional<RouteTlsDemand> route;
  TlsFloor floor = TlsFloor::opportunistic;
  std::vector<ExceptionSettings> exceptions;
  PolicyMode sts_mode = PolicyMode::enforce;
  PolicyMode dane_mode = PolicyMode::enforce;
  std::uint16_t port = 25;
  IpFamily ip = IpFamily::automatic;
  WallTime now{};
  Duration message_age{};     // an unknown policy delays at most 30 minutes of it
  bool fresh = false;         // look the policy up afresh: before a message fails for good
};

// What is known of one MX when it is decided.
struct MxFacts {
  HostAddresses addresses;
  DnsStatus tlsa_status = DnsStatus::no_data;
  bool tlsa_secure = false;
  DomainName tlsa_base;
  std::vector<TlsaRecord> tlsa;  // as found, unusable ones included
};

// Pure: the whole decision. `facts` has one entry per request.mx.hosts.
TlsPlan decide(const PlanRequest& request, const StsLookup& sts, const std::vector<MxFacts>& facts);

class TlsPlanner {
 public:
  virtual ~TlsPlanner() = default;
  virtual asio::awaitable<TlsPlan> plan(PlanRequest request) = 0;
};

}  // namespace holdfast
