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
//  4. REQUIRETLS: an MX whose name nothing vouches for (secure MX records, MTA-STS, a verified route's own
//     host) is not usable; the others are authenticated, by PKIX where 1 and 2 ask for nothing.
//  5. The floor (`delivery.tls`, a route's `tls`) raises. With `verify`, an MX other than the next hop itself
//     is not usable either unless secure MX records or MTA-STS vouch for its name.
//  6. An unexpired [[exception]] lowers what it names, never for REQUIRETLS, nor on a route that sends a
//     password. `TLS-Required: No` turns 1, 2 and the floor into watching; a route's `tls` stays, since it
//     also guards the route's password.
//
// An exception for no-starttls lowers to opportunistic: whoever can show a bad certificate can strip STARTTLS
// as well, so where cleartext may follow, refusing certificates would protect from nothing. They are watched.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/settings.h"
#include "smtp/base/log.h"
#include "smtp/base/metrics.h"
#include "smtp/dns/mx_lookup.h"
#include "smtp/tls/requirement.h"
#include "smtp/tls/tls_class.h"
#include "sts/policy_store.h"

namespace holdfast {

// A policy that was applied to an MX, as a TLS report names it (RFC 8460 section 4.4).
// An sts policy with empty text: the policy could not be had (TlsPlan::sts_fetch_failure says why); the
// session counts as failed under it, whatever the handshake did.
struct AppliedPolicy {
  enum class Type { none, sts, tlsa } type = Type::none;
  DomainName policy_domain;      // sts: the next hop's domain; tlsa: the TLSA base domain
  SharedLines text;              // sts: policy lines; tlsa: "3 1 1 AB12…"
  SharedLines mx;                // sts: patterns
  StsMode mode = StsMode::none;  // sts only
  bool enforced = false;         // false: watched (testing, observe)
  bool operator==(const AppliedPolicy&) const = default;
};

// Why an MX may not be used, or what stands out. Findings go to the log, to `check` and into reports.
enum class PlanFinding {
  none = 0,
  mx_not_in_policy,  // enforce: not connected to; testing and observe: used all the same
  tlsa_unknown,      // secure host (or it may be one), TLSA lookup failed: not used now
  tlsa_all_unusable,
  sts_fetch_failed,   // record there, policy not to be had, nothing cached
  sts_unknown,        // record lookup failed, nothing cached
  not_authenticated,  // REQUIRETLS or the route asks for more than this MX can prove
  exception_applied,
  address_unknown,  // no address of the host is known: MxPlan::addresses.status says whether that is final
};
const char* describe(PlanFinding finding);

struct MxPlan {
  MxHost mx;
  bool usable = true;
  PlanFinding finding = PlanFinding::none;  // why it is not usable, or what is to be recorded on use
  std::string detail;          // for people: "mx.evil.example matches none of mx1.example, *.example"
  std::string lowered_by;      // the reasons of the exceptions that lower the requirement; "" = none does
  std::string not_lowered_by;  // of those that would, but for the route's password
  TlsRequirement requirement;
  std::vector<AppliedPolicy> policies;  // each counts the session in TLS-RPT
  HostAddresses addresses;
};

struct TlsPlan {
  std::vector<MxPlan> mx;  // in the order of preference
  bool must_wait =
      false;  // nothing may be tried now: the policy is unknown (SERVFAIL and the like); no MX is usable
  std::string why;                  // for must_wait and when no MX is usable; for people
  bool policy_forbids = false;      // no MX is usable because of policy: 4.7.5, never permanent at once
  std::optional<CachedPolicy> sts;  // in force
  std::optional<StsError> sts_fetch_failure;
  DomainName policy_domain;  // RFC 8461 section 3.4
};

struct RouteTlsDemand {
  RouteTls tls = RouteTls::verify;
  bool implicit_tls = false;
  TlsVersion min_version = TlsVersion::none;
  std::string ciphers{};  // as TlsRequirement::ciphers
  bool password = false;  // it logs in there: whoever is let through gets the password
};

struct PlanRequest {
  DomainName next_hop;  // recipient domain, or the domain or host named in the route's `via`
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
  Duration message_age{};  // an unknown policy delays at most 30 minutes of it
  bool fresh = false;      // look the policy up afresh: before a message fails for good
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

// Whether an exception is for this next hop or MX and has not run out at `now`.
bool exception_applies(const ExceptionSettings& exception, const DomainName& next_hop, const DomainName& mx,
                       WallTime now);

class TlsPlanner {
 public:
  virtual ~TlsPlanner() = default;
  virtual asio::awaitable<TlsPlan> plan(PlanRequest request) = 0;
};

// One per worker, used on the executor of `resolver`. All arguments outlive it; `policies` may live
// elsewhere.
std::unique_ptr<TlsPlanner> make_tls_planner(PolicyStore& policies, Resolver& resolver, Log& log,
                                             Metrics& metrics);

}  // namespace holdfast
