// decide(): what each MX must prove, by the order in sts/tls_planner.h. First the cases one by one, then the
// invariants over random inputs.
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "sts/tls_planner.h"
#include "tests/fakes/domain.h"

namespace holdfast {
namespace {

const DomainName kDomain = domain("example.com");
const DomainName kMx = domain("mx.example.com");
const WallTime kNow = std::chrono::sys_days(std::chrono::year(2026) / 3 / 10) + std::chrono::hours(12);
const TlsaRecord kPlanTlsa{3, 1, 1, std::string(32, 'a')};
const TlsaRecord kUnusable{1, 1, 1, std::string(32, 'a')};

StsLookup sts(StsMode mode, std::vector<std::string> mx = {"*.example.com"}) {
  CachedPolicy cached;
  cached.domain = kDomain;
  cached.id = "1";
  cached.policy.mode = mode;
  cached.policy.mx = std::move(mx);
  cached.policy.lines = {"version: STSv1", std::string("mode: ") + name(mode)};
  return {.state = StsLookup::State::present, .cached = cached, .fetch_failure = {}, .detail = ""};
}
StsLookup absent() {
  return {.state = StsLookup::State::absent, .cached = {}, .fetch_failure = {}, .detail = ""};
}
StsLookup unknown() {
  return {.state = StsLookup::State::unknown, .cached = {}, .fetch_failure = {}, .detail = "SERVFAIL"};
}
StsLookup failed() {
  return {.state = StsLookup::State::absent,
          .cached = {},
          .fetch_failure = StsError::http_status,
          .detail = "404"};
}

PlanRequest request(std::vector<DomainName> hosts = {kMx}) {
  PlanRequest r;
  r.next_hop = kDomain;
  r.mx.domain = kDomain;
  r.mx.verdict = MxVerdict::ok;
  for (const DomainName& host : hosts) r.mx.hosts.push_back({host, 10});
  r.now = kNow;
  return r;
}

MxFacts facts() {
  MxFacts f;
  f.addresses.status = DnsStatus::ok;
  f.addresses.canonical = kMx.text();
  f.addresses.addresses = {IpBytes{}};
  return f;
}
MxFacts dane(std::vector<TlsaRecord> records = {kPlanTlsa}) {
  MxFacts f = facts();
  f.addresses.secure = true;
  f.tlsa_status = DnsStatus::ok;
  f.tlsa_secure = true;
  f.tlsa_base = kMx;
  f.tlsa = std::move(records);
  return f;
}
MxFacts tlsa_failing(DnsStatus status) {
  MxFacts f = dane({});
  f.tlsa_status = status;
  f.tlsa_secure = false;
  return f;
}

MxPlan one(const PlanRequest& r, const StsLookup& s, const MxFacts& f) { return decide(r, s, {f}).mx.at(0); }

ExceptionSettings exception(std::vector<Relaxation> allow) {
  ExceptionSettings e;
  e.domain = "example.com";
  e.allow = std::move(allow);
  e.reason = "ticket 4711";
  e.until = std::chrono::year(2026) / 3 / 10;
  return e;
}

using Type = AppliedPolicy::Type;
std::vector<Type> types(const MxPlan& plan) {
  std::vector<Type> found;
  for (const AppliedPolicy& policy : plan.policies) found.push_back(policy.type);
  return found;
}

// --- no policy, none, testing ---

TEST(Decide, WithoutAPolicyTlsIsOpportunistic) {
  const MxPlan plan = one(request(), absent(), facts());
  EXPECT_TRUE(plan.usable);
  EXPECT_EQ(plan.requirement.level, TlsLevel::opportunistic);
  EXPECT_TRUE(plan.requirement.cleartext_allowed);
  EXPECT_EQ(plan.requirement.server_name, kMx);
  EXPECT_FALSE(plan.requirement.watch_pkix);
  EXPECT_EQ(types(plan), std::vector<Type>{Type::none});
  EXPECT_EQ(plan.policies[0].policy_domain, kDomain);
}

TEST(Decide, ModeNoneIsAsWithoutAPolicy) {
  const MxPlan plan = one(request(), sts(StsMode::none, {}), facts());
  EXPECT_TRUE(plan.usable && plan.requirement.cleartext_allowed);
  EXPECT_EQ(types(plan), std::vector<Type>{Type::none});
}

// Seen elsewhere: domains in testing reported as having no policy.
TEST(Decide, TestingRequiresNothingAndWatchesWhatEnforceWouldRequire) {
  const MxPlan plan = one(request(), sts(StsMode::testing), facts());
  EXPECT_TRUE(plan.usable && plan.requirement.cleartext_allowed);
  EXPECT_FALSE(plan.requirement.pkix);
  EXPECT_EQ(plan.requirement.watch_pkix, PkixRequirement{kMx});
  ASSERT_EQ(types(plan), std::vector<Type>{Type::sts});
  EXPECT_EQ(plan.policies[0].mode, StsMode::testing);
  EXPECT_FALSE(plan.policies[0].enforced);
  EXPECT_EQ(plan.policies[0].text.front(), "version: STSv1");
}

TEST(Decide, TestingUsesAnMxOutsideThePolicyAndRecordsIt) {
  const MxPlan plan = one(request(), sts(StsMode::testing, {"other.example"}), facts());
  EXPECT_TRUE(plan.usable);
  EXPECT_EQ(plan.finding, PlanFinding::mx_not_in_policy);
  EXPECT_EQ(plan.detail, "mx.example.com matches none of other.example");
}

// --- enforce ---

TEST(Decide, EnforceRequiresPkixOfTheMxName) {
  const TlsPlan plan = decide(request(), sts(StsMode::enforce), {facts()});
  const MxPlan& mx = plan.mx[0];
  EXPECT_TRUE(mx.usable);
  EXPECT_EQ(mx.requirement.level, TlsLevel::authenticated);
  EXPECT_FALSE(mx.requirement.cleartext_allowed);
  EXPECT_EQ(mx.requirement.pkix, PkixRequirement{kMx});
  EXPECT_EQ(mx.requirement.min_version, TlsVersion::tls12);
  ASSERT_EQ(types(mx), std::vector<Type>{Type::sts});
  EXPECT_TRUE(mx.policies[0].enforced);
  EXPECT_EQ(mx.policies[0].mx, std::vector<std::string>{"*.example.com"});
  ASSERT_TRUE(plan.sts);
  EXPECT_EQ(plan.policy_domain, kDomain);
}

TEST(Decide, EnforceLeavesOutAnMxOutsideThePolicyAndUsesTheNext) {
  const PlanRequest r = request({domain("mx.evil.example"), kMx});
  const TlsPlan plan = decide(r, sts(StsMode::enforce), {facts(), facts()});
  EXPECT_FALSE(plan.mx[0].usable);
  EXPECT_EQ(plan.mx[0].finding, PlanFinding::mx_not_in_policy);
  EXPECT_FALSE(plan.mx[0].requirement.cleartext_allowed);
  EXPECT_TRUE(plan.mx[1].usable);
  EXPECT_FALSE(plan.policy_forbids);
}

TEST(Decide, NoMxWithinThePolicyIsForbiddenByPolicyWithTheReason) {
  const TlsPlan plan = decide(request({domain("mx.evil.example")}), sts(StsMode::enforce), {facts()});
  EXPECT_TRUE(plan.policy_forbids);
  EXPECT_EQ(plan.why, "mx.evil.example matches none of *.example.com");
}

TEST(Decide, ObserveTurnsEnforceIntoWatching) {
  PlanRequest r = request({kMx, domain("mx.evil.example")});
  r.sts_mode = PolicyMode::observe;
  const TlsPlan plan = decide(r, sts(StsMode::enforce), {facts(), facts()});
  EXPECT_TRUE(plan.mx[0].usable && plan.mx[0].requirement.cleartext_allowed);
  EXPECT_EQ(plan.mx[0].requirement.watch_pkix, PkixRequirement{kMx});
  EXPECT_FALSE(plan.mx[0].policies[0].enforced);
  EXPECT_EQ(plan.mx[0].policies[0].mode, StsMode::enforce);
  EXPECT_TRUE(plan.mx[1].usable);
  EXPECT_EQ(plan.mx[1].finding, PlanFinding::mx_not_in_policy);
}

TEST(Decide, OffLooksAtNoPolicy) {
  PlanRequest r = request();
  r.sts_mode = PolicyMode::off;
  for (const StsLookup& s : {sts(StsMode::enforce, {"other.example"}), unknown(), failed()}) {
    const TlsPlan plan = decide(r, s, {facts()});
    EXPECT_FALSE(plan.must_wait || plan.sts || plan.sts_fetch_failure);
    EXPECT_EQ(types(plan.mx[0]), std::vector<Type>{Type::none});
    EXPECT_TRUE(plan.mx[0].requirement.cleartext_allowed);
  }
}

// --- unknown and failed policies ---

TEST(Decide, UnknownPolicyWaitsForAtMost30MinutesOfTheMessagesLife) {
  PlanRequest r = request();
  r.message_age = std::chrono::minutes(30) - std::chrono::nanoseconds(1);
  TlsPlan plan = decide(r, unknown(), {facts()});
  EXPECT_TRUE(plan.must_wait);
  EXPECT_FALSE(plan.mx[0].usable || plan.mx[0].requirement.cleartext_allowed || plan.policy_forbids);
  EXPECT_NE(plan.why, "");
  r.message_age = std::chrono::minutes(30);
  plan = decide(r, unknown(), {facts()});
  EXPECT_FALSE(plan.must_wait);
  EXPECT_TRUE(plan.mx[0].usable && plan.mx[0].requirement.cleartext_allowed);
  EXPECT_EQ(plan.mx[0].finding, PlanFinding::sts_unknown);
  EXPECT_EQ(types(plan.mx[0]), std::vector<Type>{Type::none});
}

TEST(Decide, UnknownPolicyDelaysNothingWhenOnlyObserving) {
  PlanRequest r = request();
  r.sts_mode = PolicyMode::observe;
  EXPECT_FALSE(decide(r, unknown(), {facts()}).must_wait);
}

TEST(Decide, PresentWithoutAPolicyIsTakenAsUnknown) {
  StsLookup broken = sts(StsMode::enforce);
  broken.cached.reset();
  EXPECT_TRUE(decide(request(), broken, {facts()}).must_wait);
}

// Holding would be the wrong kind of caution here (RFC 8461 section 5.1, a MUST).
TEST(Decide, FetchFailureWithNothingCachedDeliversAsWithoutPolicyAndIsReportedAsSts) {
  const TlsPlan plan = decide(request(), failed(), {facts()});
  EXPECT_TRUE(plan.mx[0].usable && plan.mx[0].requirement.cleartext_allowed);
  EXPECT_EQ(plan.mx[0].finding, PlanFinding::sts_fetch_failed);
  EXPECT_EQ(plan.sts_fetch_failure, StsError::http_status);
  ASSERT_EQ(types(plan.mx[0]), std::vector<Type>{Type::sts});
  EXPECT_TRUE(plan.mx[0].policies[0].text.empty());
  EXPECT_EQ(plan.mx[0].policies[0].policy_domain, kDomain);
}

// --- DANE ---

TEST(Decide, SecureTlsaSetIsRequiredWithItsBaseAsSni) {
  MxFacts f = dane({kPlanTlsa, kUnusable});
  f.tlsa_base = domain("host.provider.example");
  const MxPlan plan = one(request(), absent(), f);
  EXPECT_EQ(plan.requirement.level, TlsLevel::authenticated);
  EXPECT_FALSE(plan.requirement.cleartext_allowed);
  EXPECT_FALSE(plan.requirement.pkix);
  EXPECT_EQ(plan.requirement.server_name, f.tlsa_base);
  ASSERT_TRUE(plan.requirement.dane);
  EXPECT_EQ(plan.requirement.dane->records,
            std::vector<TlsaRecord>{kPlanTlsa});  // usages 0 and 1 never get through
  EXPECT_EQ(plan.requirement.dane->names, (std::vector<DomainName>{f.tlsa_base, kMx, kDomain}));
  ASSERT_EQ(types(plan), std::vector<Type>{Type::tlsa});
  EXPECT_EQ(plan.policies[0].policy_domain, f.tlsa_base);
  EXPECT_EQ(plan.policies[0].text.size(), 2u);  // as found
}

TEST(Decide, InsecureTlsaIsIgnored) {
  MxFacts f = dane();
  f.tlsa_secure = false;
  const MxPlan plan = one(request(), absent(), f);
  EXPECT_TRUE(plan.requirement.cleartext_allowed);
  EXPECT_EQ(types(plan), std::vector<Type>{Type::none});
}

// Invariant 20.
TEST(Decide, AllUnusableTlsaStillMeansTls) {
  const MxPlan plan = one(request(), absent(), dane({kUnusable}));
  EXPECT_TRUE(plan.usable);
  EXPECT_EQ(plan.requirement.level, TlsLevel::encrypted);
  EXPECT_FALSE(plan.requirement.cleartext_allowed || plan.requirement.dane);
  EXPECT_EQ(plan.finding, PlanFinding::tlsa_all_unusable);
  ASSERT_EQ(types(plan), std::vector<Type>{Type::tlsa});
  EXPECT_TRUE(plan.policies[0].enforced);
}

// Invariant 19.
TEST(Decide, UnknownTlsaOfASecureHostIsNotUsableNow) {
  for (const DnsStatus status : {DnsStatus::server_failure, DnsStatus::timed_out, DnsStatus::cname_limit}) {
    const TlsPlan plan = decide(request(), absent(), {tlsa_failing(status)});
    EXPECT_FALSE(plan.mx[0].usable);
    EXPECT_EQ(plan.mx[0].finding, PlanFinding::tlsa_unknown);
    EXPECT_TRUE(plan.policy_forbids);
  }
  for (const DnsStatus status : {DnsStatus::no_data, DnsStatus::nx_domain}) {
    EXPECT_TRUE(one(request(), absent(), tlsa_failing(status)).requirement.cleartext_allowed);
  }
}

// Section 2 of RFC 8461: neither excuses the other. Invariant 18.
TEST(Decide, DaneAndMtaStsBothMustHold) {
  const MxPlan plan = one(request(), sts(StsMode::enforce), dane());
  EXPECT_TRUE(plan.requirement.pkix && plan.requirement.dane);
  EXPECT_EQ(types(plan), (std::vector<Type>{Type::sts, Type::tlsa}));
  EXPECT_FALSE(one(request(), sts(StsMode::enforce, {"other.example"}), dane()).usable);
  EXPECT_FALSE(one(request(), sts(StsMode::enforce), tlsa_failing(DnsStatus::timed_out)).usable);
  const MxPlan unusable = one(request(), sts(StsMode::enforce), dane({kUnusable}));
  EXPECT_EQ(unusable.requirement.level, TlsLevel::authenticated);
  EXPECT_EQ(unusable.requirement.pkix, PkixRequirement{kMx});
}

TEST(Decide, TestingPolicyBesideDaneIsWatched) {
  const MxPlan plan = one(request(), sts(StsMode::testing), dane());
  EXPECT_TRUE(plan.requirement.dane && plan.requirement.watch_pkix && !plan.requirement.pkix);
  EXPECT_EQ(types(plan), (std::vector<Type>{Type::sts, Type::tlsa}));
}

TEST(Decide, DaneObserveWatches) {
  PlanRequest r = request();
  r.dane_mode = PolicyMode::observe;
  MxPlan plan = one(r, absent(), dane());
  EXPECT_TRUE(plan.requirement.cleartext_allowed && plan.requirement.watch_dane && !plan.requirement.dane);
  EXPECT_EQ(plan.requirement.server_name, kMx);
  EXPECT_FALSE(plan.policies[0].enforced);
  plan = one(r, absent(), tlsa_failing(DnsStatus::server_failure));
  EXPECT_TRUE(plan.usable && plan.requirement.cleartext_allowed);
  EXPECT_EQ(plan.finding, PlanFinding::tlsa_unknown);
  EXPECT_TRUE(one(r, absent(), dane({kUnusable})).requirement.cleartext_allowed);
}

TEST(Decide, DaneOffIgnoresTlsa) {
  PlanRequest r = request();
  r.dane_mode = PolicyMode::off;
  const MxPlan plan = one(r, absent(), dane());
  EXPECT_TRUE(plan.requirement.cleartext_allowed && !plan.requirement.watch_dane);
  EXPECT_EQ(types(plan), std::vector<Type>{Type::none});
}

TEST(Decide, HostWithoutAKnownAddressIsNotUsable) {
  for (const DnsStatus status :
       {DnsStatus::server_failure, DnsStatus::timed_out, DnsStatus::no_data, DnsStatus::nx_domain}) {
    MxFacts f = facts();
    f.addresses.status = status;
    const TlsPlan plan = decide(request(), absent(), {f});
    EXPECT_FALSE(plan.mx[0].usable);
    EXPECT_EQ(plan.mx[0].finding, PlanFinding::address_unknown);
    EXPECT_FALSE(plan.policy_forbids);
  }
  EXPECT_FALSE(decide(request(), absent(), {}).mx[0].usable);  // no facts at all
}

// --- REQUIRETLS ---

PlanRequest requiretls(std::vector<DomainName> hosts = {kMx}) {
  PlanRequest r = request(std::move(hosts));
  r.message.requiretls = true;
  return r;
}

TEST(Decide, RequiretlsNeedsSomethingThatVouchesForTheMx) {
  const TlsPlan plan = decide(requiretls(), absent(), {facts()});
  EXPECT_FALSE(plan.mx[0].usable);
  EXPECT_EQ(plan.mx[0].finding, PlanFinding::not_authenticated);
  EXPECT_TRUE(plan.policy_forbids);
}

TEST(Decide, RequiretlsIsMetByEnforceBySecureMxAndByDaneBehindIt) {
  MxPlan plan = one(requiretls(), sts(StsMode::enforce), facts());
  EXPECT_TRUE(plan.usable && plan.requirement.requiretls && plan.requirement.pkix);

  PlanRequest secure = requiretls();
  secure.mx.secure = true;
  plan = one(secure, absent(), facts());
  EXPECT_TRUE(plan.usable && plan.requirement.requiretls);
  EXPECT_EQ(plan.requirement.pkix, PkixRequirement{kMx});
  plan = one(secure, absent(), dane());
  EXPECT_TRUE(plan.usable && plan.requirement.dane && !plan.requirement.pkix);
  plan = one(secure, absent(), dane({kUnusable}));
  EXPECT_TRUE(plan.usable && plan.requirement.pkix);
  EXPECT_EQ(plan.requirement.level, TlsLevel::authenticated);
}

TEST(Decide, RequiretlsTakesATestingPolicysWordForTheNameAndVerifiesIt) {
  const MxPlan plan = one(requiretls(), sts(StsMode::testing), facts());
  EXPECT_TRUE(plan.usable);
  EXPECT_EQ(plan.requirement.pkix, PkixRequirement{kMx});
  EXPECT_FALSE(one(requiretls(), sts(StsMode::testing, {"other.example"}), facts()).usable);
}

// The network named this MX: its own TLSA set proves nothing about the recipient's domain.
TEST(Decide, RequiretlsIsNotMetByDaneBehindAnUnsignedMxSet) {
  EXPECT_FALSE(one(requiretls(), absent(), dane()).usable);
}

TEST(Decide, RequiretlsIsMetByTheOperatorsOwnVerifiedRoute) {
  PlanRequest r = requiretls({kDomain});
  r.route = RouteTlsDemand{};
  const MxPlan plan = one(r, absent(), facts());
  EXPECT_TRUE(plan.usable);
  EXPECT_EQ(plan.requirement.pkix, PkixRequirement{kDomain});
  r.route->tls = RouteTls::required;
  EXPECT_FALSE(one(r, absent(), facts()).usable);
}

TEST(Decide, RequiretlsIsNotLoweredByTlsRequiredNoNorByExceptions) {
  PlanRequest r = requiretls();
  r.message.tls_required_no = true;
  r.exceptions = {exception({Relaxation::bad_certificate, Relaxation::no_starttls})};
  const MxPlan plan = one(r, sts(StsMode::enforce), facts());
  EXPECT_TRUE(plan.requirement.pkix && plan.requirement.requiretls && !plan.requirement.cleartext_allowed);
  EXPECT_EQ(plan.finding, PlanFinding::none);
}

// --- TLS-Required: No ---

TEST(Decide, TlsRequiredNoDeliversWherePolicyWouldForbid) {
  PlanRequest r = request();
  r.message.tls_required_no = true;
  r.floor = TlsFloor::required;
  for (const StsLookup& s :
       {sts(StsMode::enforce), sts(StsMode::enforce, {"other.example"}), unknown(), absent()}) {
    for (const MxFacts& f : {facts(), dane(), dane({kUnusable}), tlsa_failing(DnsStatus::timed_out)}) {
      const TlsPlan plan = decide(r, s, {f});
      EXPECT_FALSE(plan.must_wait);
      EXPECT_TRUE(plan.mx[0].usable && plan.mx[0].requirement.cleartext_allowed);
      EXPECT_EQ(plan.mx[0].requirement.level, TlsLevel::opportunistic);
      for (const AppliedPolicy& policy : plan.mx[0].policies) EXPECT_FALSE(policy.enforced);
    }
  }
}

TEST(Decide, TlsRequiredNoDoesNotLowerARoute) {
  PlanRequest r = request();
  r.message.tls_required_no = true;
  r.route = RouteTlsDemand{};
  const MxPlan plan = one(r, absent(), facts());
  EXPECT_EQ(plan.requirement.pkix, PkixRequirement{kMx});
  EXPECT_FALSE(plan.requirement.cleartext_allowed);
}

// --- floor and routes ---

TEST(Decide, FloorRequiresTlsWhereNoPolicySpeaks) {
  PlanRequest r = request();
  r.floor = TlsFloor::required;
  const MxPlan plan = one(r, absent(), facts());
  EXPECT_EQ(plan.requirement.level, TlsLevel::encrypted);
  EXPECT_FALSE(plan.requirement.cleartext_allowed);
  EXPECT_EQ(one(r, sts(StsMode::enforce), facts()).requirement.level, TlsLevel::authenticated);
}

TEST(Decide, RouteRaisesAndNeverLowers) {
  struct Case {
    RouteTls tls;
    bool implicit;
    TlsVersion min;
    TlsLevel expected;
  };
  for (const Case& c : {Case{RouteTls::opportunistic, false, TlsVersion::none, TlsLevel::opportunistic},
                        Case{RouteTls::opportunistic, true, TlsVersion::none, TlsLevel::encrypted},
                        Case{RouteTls::opportunistic, false, TlsVersion::tls12, TlsLevel::encrypted},
                        Case{RouteTls::required, false, TlsVersion::none, TlsLevel::encrypted},
                        Case{RouteTls::verify, false, TlsVersion::tls13, TlsLevel::authenticated}}) {
    PlanRequest r = request();
    r.route = RouteTlsDemand{c.tls, c.implicit, c.min};
    const MxPlan plan = one(r, absent(), facts());
    EXPECT_EQ(plan.requirement.level, c.expected);
    EXPECT_EQ(plan.requirement.cleartext_allowed, c.expected == TlsLevel::opportunistic);
    EXPECT_EQ(plan.requirement.pkix.has_value(), c.tls == RouteTls::verify);
    EXPECT_GE(plan.requirement.min_version, c.min);
    EXPECT_EQ(one(r, sts(StsMode::enforce), facts()).requirement.level, TlsLevel::authenticated);
    EXPECT_FALSE(one(r, sts(StsMode::enforce, {"other.example"}), facts()).usable);
  }
}

TEST(Decide, CiphersOfARouteGoIntoTheRequirementAndMeanTls) {
  PlanRequest r = request();
  r.route = RouteTlsDemand{RouteTls::opportunistic, false, TlsVersion::none};
  r.route->ciphers = "ECDHE-RSA-AES256-GCM-SHA384";
  const MxPlan plan = one(r, absent(), facts());
  EXPECT_EQ(plan.requirement.ciphers, "ECDHE-RSA-AES256-GCM-SHA384");
  EXPECT_EQ(plan.requirement.level, TlsLevel::encrypted);
  EXPECT_FALSE(plan.requirement.cleartext_allowed);
  r.exceptions = {exception({Relaxation::no_starttls})};
  const MxPlan lowered = one(r, absent(), facts());
  EXPECT_TRUE(lowered.requirement.cleartext_allowed);
  EXPECT_EQ(lowered.requirement.ciphers, "");  // no demand that cleartext could not meet
}

TEST(Decide, HostWithoutANameIsNeverAuthenticated) {
  PlanRequest r = request({DomainName()});
  r.route = RouteTlsDemand{};
  EXPECT_FALSE(one(r, absent(), facts()).usable);
  r.route->tls = RouteTls::required;
  EXPECT_TRUE(one(r, absent(), facts()).usable);
}

// --- exceptions ---

TEST(Decide, BadCertificateExceptionKeepsTlsAndWatchesTheCertificate) {
  PlanRequest r = request();
  r.exceptions = {exception({Relaxation::bad_certificate})};
  const MxPlan plan = one(r, sts(StsMode::enforce), dane());
  EXPECT_EQ(plan.requirement.level, TlsLevel::encrypted);
  EXPECT_FALSE(plan.requirement.cleartext_allowed || plan.requirement.pkix || plan.requirement.dane);
  EXPECT_TRUE(plan.requirement.watch_pkix && plan.requirement.watch_dane);
  EXPECT_EQ(plan.finding, PlanFinding::exception_applied);
  EXPECT_NE(plan.detail.find("ticket 4711"), std::string::npos);
  for (const AppliedPolicy& policy : plan.policies) EXPECT_FALSE(policy.enforced);
}

TEST(Decide, NoStarttlsExceptionAllowsCleartext) {
  PlanRequest r = request();
  r.exceptions = {exception({Relaxation::no_starttls})};
  const MxPlan plan = one(r, sts(StsMode::enforce), facts());
  EXPECT_EQ(plan.requirement.level, TlsLevel::opportunistic);
  EXPECT_TRUE(plan.requirement.cleartext_allowed && plan.requirement.watch_pkix);
  r.route = RouteTlsDemand{RouteTls::required, true, TlsVersion::none};
  EXPECT_FALSE(one(r, absent(), facts()).requirement.cleartext_allowed);  // implicit TLS has no cleartext
}

TEST(Decide, ExceptionsHoldToTheEndOfTheirLastDay) {
  PlanRequest r = request();
  r.exceptions = {exception({Relaxation::no_starttls})};
  r.now = std::chrono::sys_days(std::chrono::year(2026) / 3 / 11) - std::chrono::microseconds(1);
  EXPECT_TRUE(one(r, sts(StsMode::enforce), facts()).requirement.cleartext_allowed);
  r.now += std::chrono::microseconds(1);
  EXPECT_FALSE(one(r, sts(StsMode::enforce), facts()).requirement.cleartext_allowed);
}

TEST(Decide, ExceptionsAreForTheirDomainOrMxOnly) {
  const auto applies = [](const std::string& domain, const std::string& mx) {
    PlanRequest r = request();
    ExceptionSettings e = exception({Relaxation::no_starttls});
    e.domain = domain;
    e.mx = mx;
    r.exceptions = {e};
    return one(r, sts(StsMode::enforce), facts()).requirement.cleartext_allowed;
  };
  EXPECT_TRUE(applies("Example.COM.", ""));
  EXPECT_TRUE(applies("", "mx.example.com"));
  EXPECT_FALSE(applies("sub.example.com", ""));
  EXPECT_FALSE(applies("com", ""));
  EXPECT_FALSE(applies("", "example.com"));
  EXPECT_FALSE(applies("", "mx2.example.com"));
  EXPECT_FALSE(applies("", ""));
  EXPECT_FALSE(applies("", "not a name!"));
}

TEST(Decide, ExceptionsNeverAdmitAnMxOutsideThePolicyNorAnUnknownTlsaSet) {
  PlanRequest r = request();
  r.exceptions = {exception({Relaxation::bad_certificate, Relaxation::no_starttls})};
  EXPECT_FALSE(one(r, sts(StsMode::enforce, {"other.example"}), facts()).usable);
  EXPECT_FALSE(one(r, sts(StsMode::enforce), tlsa_failing(DnsStatus::timed_out)).usable);
}

TEST(Decide, ExceptionThatLowersNothingIsNotNoted) {
  PlanRequest r = request();
  r.exceptions = {exception({Relaxation::bad_certificate, Relaxation::no_starttls})};
  EXPECT_EQ(one(r, absent(), facts()).finding, PlanFinding::none);
}

// Seen elsewhere: one domain's posture used for all domains behind the same MX. Invariant 17.
TEST(Decide, DomainsBehindTheSameMxAreDecidedEachByItsOwnPolicy) {
  PlanRequest other = request();
  other.next_hop = domain("other.example");
  EXPECT_TRUE(one(other, absent(), facts()).requirement.cleartext_allowed);
  EXPECT_FALSE(one(request(), sts(StsMode::enforce), facts()).requirement.cleartext_allowed);
}

// --- invariants over random inputs ---

class RandomCase {
 public:
  explicit RandomCase(unsigned seed) : random_(seed) {
    r = request();
    if (chance(3)) r.mx.hosts.push_back({domain("mx2.other.example"), 20});
    r.mx.secure = chance(2);
    r.message.requiretls = chance(4);
    r.message.tls_required_no = chance(4);
    if (chance(3))
      r.route = RouteTlsDemand{pick({RouteTls::opportunistic, RouteTls::required, RouteTls::verify}),
                               chance(3), pick({TlsVersion::none, TlsVersion::tls12, TlsVersion::tls13})};
    r.floor = pick({TlsFloor::opportunistic, TlsFloor::required});
    r.sts_mode = pick({PolicyMode::enforce, PolicyMode::enforce, PolicyMode::observe, PolicyMode::off});
    r.dane_mode = pick({PolicyMode::enforce, PolicyMode::enforce, PolicyMode::observe, PolicyMode::off});
    r.message_age = std::chrono::minutes(pick({0, 29, 30, 600}));
    while (chance(4)) {
      ExceptionSettings e = exception({pick({Relaxation::bad_certificate, Relaxation::no_starttls})});
      if (chance(2)) e.allow.push_back(pick({Relaxation::bad_certificate, Relaxation::no_starttls}));
      e.until += std::chrono::days(pick({-9, -1, 0, 9}));
      if (chance(2)) e.domain = pick<std::string>({"other.example", "mx.example.com"});
      if (chance(3)) {
        e.domain.clear();
        e.mx = pick<std::string>({"mx.example.com", "mx2.other.example", "example.com"});
      }
      r.exceptions.push_back(e);
    }
    const std::vector<std::string> mx = pick<std::vector<std::string>>(
        {{"*.example.com"}, {"x.example"}, {"mx.example.com", "*.other.example"}});
    s = pick<StsLookup>({absent(), unknown(), failed(), sts(StsMode::none, {}), sts(StsMode::testing, mx),
                         sts(StsMode::enforce, mx), sts(StsMode::enforce, mx)});
    for (std::size_t i = 0; i < r.mx.hosts.size(); ++i) {
      MxFacts one_host =
          pick<MxFacts>({facts(), facts(), dane(), dane({kUnusable}), dane({kPlanTlsa, kUnusable}),
                         tlsa_failing(DnsStatus::server_failure), tlsa_failing(DnsStatus::no_data)});
      if (!one_host.tlsa_base.empty()) one_host.tlsa_base = r.mx.hosts[i].name;
      if (chance(8)) one_host.addresses.status = DnsStatus::timed_out;
      f.push_back(one_host);
    }
  }

  PlanRequest r;
  StsLookup s;
  std::vector<MxFacts> f;

 private:
  bool chance(unsigned of) { return random_() % of == 0; }
  template <class T>
  T pick(std::initializer_list<T> from) {
    return from.begin()[random_() % from.size()];
  }
  std::mt19937 random_;
};

bool may_lower(const RandomCase& c, const MxPlan& mx) {
  if (c.r.message.requiretls) return false;
  if (c.r.message.tls_required_no) return true;
  for (const ExceptionSettings& e : c.r.exceptions) {
    if (exception_applies(e, c.r.next_hop, mx.mx.name, c.r.now)) return true;
  }
  return false;
}

TEST(DecideProperties, HoldOverRandomInputs) {
  int enforced = 0, cleartext = 0, waits = 0, forbidden = 0, required = 0;
  for (unsigned seed = 0; seed < 40000; ++seed) {
    const RandomCase c(seed);
    const TlsPlan plan = decide(c.r, c.s, c.f);
    ASSERT_EQ(plan.mx.size(), c.r.mx.hosts.size());
    const bool in_force = c.s.state == StsLookup::State::present && c.r.sts_mode == PolicyMode::enforce &&
                          c.s.cached->policy.mode == StsMode::enforce;
    bool any = false;
    for (std::size_t i = 0; i < plan.mx.size(); ++i) {
      SCOPED_TRACE("seed " + std::to_string(seed) + " mx " + std::to_string(i));
      const MxPlan& mx = plan.mx[i];
      const TlsRequirement& need = mx.requirement;
      any = any || mx.usable;
      const bool lower = may_lower(c, mx);

      // 13, 14: enforce, and nothing that lowers it: never in clear, never unauthenticated, never another MX.
      if (in_force && !lower) {
        ++enforced;
        ASSERT_FALSE(need.cleartext_allowed);
        ASSERT_EQ(need.level, TlsLevel::authenticated);
        ASSERT_EQ(need.pkix, PkixRequirement{mx.mx.name});
        if (!c.s.cached->policy.matches(mx.mx.name)) {
          ASSERT_FALSE(mx.usable);
        }
      }
      // 18, 19, 20: what MTA-STS says changes nothing about what DANE requires.
      const bool secure_tlsa = c.f[i].addresses.status == DnsStatus::ok && c.f[i].tlsa_secure &&
                               c.r.dane_mode == PolicyMode::enforce;
      if (secure_tlsa && !lower) {
        ASSERT_FALSE(need.cleartext_allowed);
        ASSERT_NE(need.level, TlsLevel::opportunistic);
        const bool usable_set = c.f[i].tlsa.front() == kPlanTlsa;
        if (usable_set && mx.usable) {
          ASSERT_TRUE(need.dane);
        }
      }
      if (is_unknown(c.f[i].tlsa_status) && c.r.dane_mode == PolicyMode::enforce &&
          !(lower && c.r.message.tls_required_no)) {
        ASSERT_FALSE(mx.usable);
      }
      // Usages 0 and 1 never reach OpenSSL.
      for (const auto& set : {need.dane, need.watch_dane}) {
        if (!set) continue;
        ASSERT_FALSE(set->records.empty());
        for (const TlsaRecord& record : set->records) ASSERT_GE(record.usage, 2);
      }
      // 25.
      if (c.r.message.requiretls && mx.usable) {
        ++required;
        ASSERT_TRUE(need.requiretls && (need.pkix || need.dane) && !need.cleartext_allowed);
        ASSERT_EQ(need.level, TlsLevel::authenticated);
      }
      // Levels are what they say; cleartext only at the lowest.
      if (need.level == TlsLevel::authenticated) {
        ASSERT_TRUE(need.pkix || need.dane);
        ASSERT_GE(need.min_version, TlsVersion::tls12);
      } else {
        ASSERT_FALSE(need.pkix || need.dane);
      }
      if (need.cleartext_allowed) {
        ++cleartext;
        ASSERT_TRUE(mx.usable);
        ASSERT_EQ(need.level, TlsLevel::opportunistic);
        ASSERT_FALSE(c.r.route && c.r.route->implicit_tls);
      }
      if (!mx.usable) {
        ASSERT_NE(mx.finding, PlanFinding::none);
      }
      ASSERT_FALSE(mx.policies.empty());
    }
    if (plan.must_wait) {
      ++waits;
      ASSERT_FALSE(any);
      ASSERT_LT(c.r.message_age, std::chrono::minutes(30));
    }
    if (plan.policy_forbids) {
      ++forbidden;
      ASSERT_FALSE(any);
    }
    if (!any) {
      ASSERT_NE(plan.why, "");
    }
  }
  for (const int seen : {enforced, cleartext, waits, forbidden, required}) EXPECT_GT(seen, 500);
}

// They stand in the queue, in bounces and in `check`: an operator tells them apart by their words alone.
TEST(PlanFinding, HasWordsOfItsOwn) {
  std::set<std::string> words;
  for (int i = 0; i <= static_cast<int>(PlanFinding::address_unknown); ++i)
    EXPECT_TRUE(words.insert(describe(static_cast<PlanFinding>(i))).second) << i;
  EXPECT_FALSE(words.contains("unknown finding"));
}

int strength(const MxPlan& mx) {
  if (!mx.usable) return 100;
  return (mx.requirement.cleartext_allowed ? 0 : 10) + static_cast<int>(mx.requirement.level) * 10 +
         mx.requirement.pkix.has_value() + mx.requirement.dane.has_value();
}

// More policy never yields less protection: adding a secure TLSA set, a stricter mode, a floor or a route.
TEST(DecideProperties, NothingThatIsAddedRelaxes) {
  for (unsigned seed = 0; seed < 20000; ++seed) {
    SCOPED_TRACE(seed);
    const RandomCase c(seed);
    const TlsPlan before = decide(c.r, c.s, c.f);

    RandomCase more = c;
    more.r.floor = TlsFloor::required;
    if (!more.r.route) more.r.route = RouteTlsDemand{RouteTls::required, false, TlsVersion::none};
    more.r.exceptions.clear();
    more.r.message.tls_required_no = false;
    const TlsPlan after = decide(more.r, more.s, more.f);
    RandomCase stricter = more;
    stricter.r.sts_mode = stricter.r.dane_mode = PolicyMode::enforce;
    const TlsPlan strict = decide(stricter.r, stricter.s, stricter.f);
    for (std::size_t i = 0; i < before.mx.size(); ++i) {
      ASSERT_GE(strength(after.mx[i]), strength(before.mx[i]));
      // REQUIRETLS: a policy is also what vouches for an MX, so it can make one usable.
      if (c.r.message.requiretls) continue;
      ASSERT_GE(strength(strict.mx[i]), strength(after.mx[i]));
    }
  }
}

}  // namespace
}  // namespace holdfast
