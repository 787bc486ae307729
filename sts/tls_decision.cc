// decide(): the procedure stands in tls_planner.h. The only place that sets cleartext_allowed.
#include <algorithm>

#include "sts/dane.h"
#include "sts/tls_planner.h"

namespace holdfast {
namespace {

// RFC 8461 names no limit for an unknown policy; some name servers never answer for _mta-sts names.
constexpr Duration kLongestUnknown = std::chrono::minutes(30);

// What holds for all MXs of the request.
struct Terms {
  const PlanRequest& request;
  const CachedPolicy* sts = nullptr;  // testing or enforce; nullptr: no policy asks for anything
  bool sts_enforced = false;
  bool dane_enforced = false;
  bool lifted = false;  // TLS-Required: No
  bool sts_unknown = false;
  std::optional<StsError> sts_fetch_failure;
  std::string sts_detail;
};

// Enough for people. The text goes into each MX's plan, the log, bounces and reports.
constexpr std::size_t kMostPatternsTold = 10;

std::string joined(const SharedLines& words) {
  std::string text;
  for (std::size_t i = 0; i < std::min(words.size(), kMostPatternsTold); ++i)
    text += (text.empty() ? "" : ", ") + words[i];
  if (words.size() > kMostPatternsTold)
    text += " and " + std::to_string(words.size() - kMostPatternsTold) + " more";
  return text;
}

void note(MxPlan& plan, PlanFinding finding, std::string detail) {
  if (plan.finding == PlanFinding::none) plan.finding = finding;
  if (!detail.empty()) plan.detail += (plan.detail.empty() ? "" : "; ") + std::move(detail);
}

// The finding is the reason why the MX is out: it goes before what was noted already.
void refuse(MxPlan& plan, PlanFinding finding, std::string detail) {
  if (plan.usable) plan.finding = PlanFinding::none;
  plan.usable = false;
  note(plan, finding, std::move(detail));
}

void raise(TlsRequirement& requirement, TlsLevel level) {
  requirement.level = std::max(requirement.level, level);
}

// MTA-STS, RFC 8461 sections 4.1, 4.2 and 5.
void apply_sts(const Terms& terms, MxPlan& plan) {
  if (terms.sts_fetch_failure) {
    // Section 5.1: with nothing cached this is as if there were no policy (a MUST), and reported.
    plan.policies.push_back({.type = AppliedPolicy::Type::sts,
                             .policy_domain = terms.request.next_hop,
                             .text = {},
                             .mx = {},
                             .mode = StsMode::none,
                             .enforced = false});
    note(plan, PlanFinding::sts_fetch_failed, "the MTA-STS policy could not be had: " + terms.sts_detail);
    return;
  }
  if (terms.sts_unknown)
    note(plan, PlanFinding::sts_unknown,
         "whether there is an MTA-STS policy is unknown: " + terms.sts_detail);
  if (terms.sts == nullptr) return;

  const StsPolicy& policy = terms.sts->policy;
  plan.policies.push_back({.type = AppliedPolicy::Type::sts,
                           .policy_domain = terms.sts->domain,
                           .text = policy.lines,
                           .mx = policy.mx,
                           .mode = policy.mode,
                           .enforced = terms.sts_enforced});
  if (!policy.matches(plan.mx.name)) {
    std::string detail = plan.mx.name.text() + " matches none of " + joined(policy.mx);
    if (terms.sts_enforced) return refuse(plan, PlanFinding::mx_not_in_policy, std::move(detail));
    return note(plan, PlanFinding::mx_not_in_policy, std::move(detail));
  }
  if (terms.sts_enforced) {
    plan.requirement.pkix = PkixRequirement{plan.mx.name};
    raise(plan.requirement, TlsLevel::authenticated);
  } else {
    plan.requirement.watch_pkix = PkixRequirement{plan.mx.name};
  }
}

// The names that a DANE-TA chain may carry: TLSA base domain and the original names (RFC 7672 section 3.2.2).
std::vector<DomainName> reference_names(const Terms& terms, const MxPlan& plan, const DomainName& base) {
  std::vector<DomainName> names;
  for (const DomainName& name : {base, plan.mx.name, terms.request.next_hop}) {
    if (!name.empty() && std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  return names;
}

// DANE, RFC 7672 section 2.1 and 2.2. `facts` hold a TLSA status only where a lookup was due: for a host that
// is reached securely.
void apply_dane(const Terms& terms, const MxFacts& facts, MxPlan& plan) {
  if (terms.request.dane_mode == PolicyMode::off) return;
  // Only where somebody vouches for the host's name: whoever can keep the question about an alias from being
  // answered could as well forge an unsigned MX record, and many servers fail on it.
  const bool named = terms.request.mx.secure || terms.request.route.has_value();
  const DnsStatus alias = named ? facts.addresses.alias_status : DnsStatus::ok;
  const bool unknown =
      is_unknown(facts.tlsa_status) || facts.tlsa_status == DnsStatus::cname_limit || alias != DnsStatus::ok;
  const bool present = facts.tlsa_status == DnsStatus::ok && facts.tlsa_secure && !facts.tlsa.empty();
  if (!unknown && !present) return;

  const DomainName& base = facts.tlsa_base.empty() ? plan.mx.name : facts.tlsa_base;
  AppliedPolicy applied{.type = AppliedPolicy::Type::tlsa,
                        .policy_domain = base,
                        .text = {},
                        .mx = {},
                        .mode = StsMode::none,
                        .enforced = terms.dane_enforced};
  std::vector<std::string> texts;
  for (const TlsaRecord& record : facts.tlsa) texts.push_back(tlsa_text(record));
  std::sort(texts.begin(), texts.end());
  applied.text = std::move(texts);
  plan.policies.push_back(std::move(applied));

  if (unknown) {
    // Section 2.1.2: a failed lookup may hide a TLSA set, so the host is passed over for now. It has not even
    // come to that where it is unknown whether the host's alias is a secure one.
    std::string detail =
        alias == DnsStatus::ok
            ? "the TLSA lookup for " + base.text() + " failed: " + describe(facts.tlsa_status)
            : "whether the alias " + base.text() + " is DNSSEC-secure is unknown: " + describe(alias);
    if (terms.dane_enforced) return refuse(plan, PlanFinding::tlsa_unknown, std::move(detail));
    return note(plan, PlanFinding::tlsa_unknown, std::move(detail));
  }
  DaneRequirement dane{base, reference_names(terms, plan, base), usable_records(facts.tlsa)};
  if (dane.records.empty()) {
    // Section 2.2: TLS remains mandatory, authentication cannot be.
    if (terms.dane_enforced) raise(plan.requirement, TlsLevel::encrypted);
    return note(plan, PlanFinding::tlsa_all_unusable, "no TLSA record at " + base.text() + " can be used");
  }
  if (terms.dane_enforced) {
    plan.requirement.server_name = base;  // section 8.1
    plan.requirement.dane = std::move(dane);
    raise(plan.requirement, TlsLevel::authenticated);
  } else {
    plan.requirement.watch_dane = std::move(dane);
  }
}

// A certificate proves a name; what makes that name the next hop's own is a secure MX set, or a policy that
// lists it (also a testing one: it came over verified HTTPS). DANE behind an unsigned MX set proves only the
// name that the network gave, so it does not suffice.
bool vouched_for(const Terms& terms, const MxPlan& plan) {
  return terms.request.mx.secure || (terms.sts != nullptr && terms.sts->policy.matches(plan.mx.name));
}

// RFC 8689 section 4.2.1. The operator vouches for the name, too, who wrote it.
void apply_requiretls(const Terms& terms, MxPlan& plan) {
  if (!terms.request.message.requiretls) return;
  plan.requirement.requiretls = true;
  const bool operators = terms.request.route && terms.request.route->tls == RouteTls::verify &&
                         plan.mx.name == terms.request.next_hop;
  if (!operators && !vouched_for(terms, plan)) {
    refuse(plan, PlanFinding::not_authenticated,
           "REQUIRETLS: neither DNSSEC nor MTA-STS vouches for " + plan.mx.name.text() + " as an MX of " +
               terms.request.next_hop.text());
  }
  if (!plan.requirement.pkix && !plan.requirement.dane) plan.requirement.pkix = PkixRequirement{plan.mx.name};
  raise(plan.requirement, TlsLevel::authenticated);
}

void apply_floor(const Terms& terms, MxPlan& plan) {
  if (terms.request.floor == TlsFloor::required && !terms.lifted)
    raise(plan.requirement, TlsLevel::encrypted);
  if (!terms.request.route) return;
  const RouteTlsDemand& route = *terms.request.route;
  plan.requirement.min_version = std::max(plan.requirement.min_version, route.min_version);
  if (!route.ciphers.empty()) plan.requirement.ciphers = route.ciphers;
  // A minimum version or a list of ciphers says that there is to be TLS.
  const bool minimum = route.min_version != TlsVersion::none || !route.ciphers.empty();
  if (route.implicit_tls || minimum || route.tls == RouteTls::required)
    raise(plan.requirement, TlsLevel::encrypted);
  if (route.tls == RouteTls::verify) {
    // Whoever can forge an MX record can also have a certificate for the name in it.
    if (plan.mx.name != terms.request.next_hop && !vouched_for(terms, plan)) {
      refuse(plan, PlanFinding::not_authenticated,
             "neither DNSSEC nor MTA-STS vouches for " + plan.mx.name.text() + " as an MX of " +
                 terms.request.next_hop.text() + "; name the host in the route's via, or lower its tls");
    }
    plan.requirement.pkix = PkixRequirement{plan.mx.name};
    raise(plan.requirement, TlsLevel::authenticated);
  }
}

struct Relaxations {
  bool bad_certificate = false, no_starttls = false;
  std::string reasons;
};

Relaxations relaxations(const Terms& terms, const MxPlan& plan) {
  Relaxations found;
  if (terms.request.message.requiretls)
    return found;  // the sender's own demand, not the domain's (invariant 25)
  for (const ExceptionSettings& exception : terms.request.exceptions) {
    if (!exception_applies(exception, terms.request.next_hop, plan.mx.name, terms.request.now)) continue;
    for (const Relaxation allowed : exception.allow) {
      (allowed == Relaxation::bad_certificate ? found.bad_certificate : found.no_starttls) = true;
    }
    found.reasons += (found.reasons.empty() ? "" : ", ") + exception.reason;
  }
  return found;
}

// Lowers what the exceptions name. An MX outside the policy and an unknown TLSA set are nothing that they
// name.
void apply_exceptions(const Terms& terms, MxPlan& plan) {
  const Relaxations allow = relaxations(terms, plan);
  TlsRequirement& need = plan.requirement;
  const bool implicit = terms.request.route && terms.request.route->implicit_tls;
  const bool clear = allow.no_starttls && !implicit && need.level != TlsLevel::opportunistic;
  const bool unverified = (allow.bad_certificate || clear) && need.level == TlsLevel::authenticated;
  if (!clear && !unverified) return;
  if (terms.request.route && terms.request.route->password) {
    plan.not_lowered_by = allow.reasons;
    return;
  }
  if (unverified) {
    if (need.pkix) need.watch_pkix = std::exchange(need.pkix, std::nullopt);
    if (need.dane) need.watch_dane = std::exchange(need.dane, std::nullopt);
    need.level = TlsLevel::encrypted;
  }
  if (clear) {
    need.level = TlsLevel::opportunistic;
    need.min_version = TlsVersion::none;
    need.ciphers.clear();
    need.cleartext_allowed = true;
  }
  for (AppliedPolicy& policy : plan.policies) policy.enforced = false;
  plan.lowered_by = allow.reasons;
  note(plan, PlanFinding::exception_applied, "exception: " + allow.reasons);
}

MxPlan decide_mx(const Terms& terms, const MxHost& mx, const MxFacts& facts) {
  MxPlan plan;
  plan.mx = mx;
  plan.addresses = facts.addresses;
  plan.requirement.level = TlsLevel::opportunistic;
  plan.requirement.server_name = mx.name;

  apply_sts(terms, plan);
  if (facts.addresses.status != DnsStatus::ok) {
    refuse(plan, PlanFinding::address_unknown,
           "no address of " + mx.name.text() + ": " + describe(facts.addresses.status));
  } else {
    apply_dane(terms, facts, plan);
  }
  apply_floor(terms, plan);
  apply_requiretls(terms, plan);
  if (mx.name.empty() && plan.requirement.level == TlsLevel::authenticated) {
    refuse(plan, PlanFinding::not_authenticated,
           "a host without a name cannot be authenticated; name it, or lower the route's tls");
  }
  if (plan.requirement.level == TlsLevel::opportunistic) plan.requirement.cleartext_allowed = true;
  apply_exceptions(terms, plan);

  // TLS 1.2 wherever something is verified: also a connection that was opened for less must meet it on reuse.
  if (plan.requirement.level == TlsLevel::authenticated) {
    plan.requirement.min_version = std::max(plan.requirement.min_version, TlsVersion::tls12);
  }
  if (plan.policies.empty()) {
    plan.policies.push_back({.type = AppliedPolicy::Type::none,
                             .policy_domain = terms.request.next_hop,
                             .text = {},
                             .mx = {},
                             .mode = StsMode::none,
                             .enforced = false});
  }
  return plan;
}

// Whoever overlooks `usable` finds a requirement that the network cannot meet by accident.
void close(MxPlan& plan) {
  plan.usable = false;
  plan.requirement.cleartext_allowed = false;
  plan.requirement.level = TlsLevel::authenticated;
  plan.requirement.min_version = std::max(plan.requirement.min_version, TlsVersion::tls12);
  if (!plan.requirement.pkix) plan.requirement.pkix = PkixRequirement{plan.mx.name};
}

bool is_policy(PlanFinding finding) {
  return finding == PlanFinding::mx_not_in_policy || finding == PlanFinding::tlsa_unknown ||
         finding == PlanFinding::not_authenticated;
}

Terms terms_of(const PlanRequest& request, const StsLookup& sts) {
  Terms terms{.request = request, .sts_fetch_failure = {}, .sts_detail = sts.detail};
  terms.lifted = request.message.tls_required_no && !request.message.requiretls;
  terms.dane_enforced = request.dane_mode == PolicyMode::enforce && !terms.lifted;
  if (request.sts_mode == PolicyMode::off) return terms;
  terms.sts_unknown =
      sts.state == StsLookup::State::unknown || (sts.state == StsLookup::State::present && !sts.cached);
  if (sts.state == StsLookup::State::present && sts.cached && sts.cached->policy.mode != StsMode::none) {
    terms.sts = &*sts.cached;
    terms.sts_enforced = terms.sts->policy.mode == StsMode::enforce &&
                         request.sts_mode == PolicyMode::enforce && !terms.lifted;
  }
  if (sts.state == StsLookup::State::absent) terms.sts_fetch_failure = sts.fetch_failure;
  return terms;
}

}  // namespace

const char* describe(PlanFinding finding) {
  switch (finding) {
    case PlanFinding::none: return "nothing stands out";
    case PlanFinding::mx_not_in_policy: return "the MX is not in the domain's MTA-STS policy";
    case PlanFinding::tlsa_unknown: return "the TLSA lookup for the MX failed";
    case PlanFinding::tlsa_all_unusable: return "none of the MX's TLSA records can be used";
    case PlanFinding::sts_fetch_failed: return "the domain's MTA-STS policy could not be had";
    case PlanFinding::sts_unknown: return "whether the domain has an MTA-STS policy is unknown";
    case PlanFinding::not_authenticated:
      return "the MX cannot be authenticated as REQUIRETLS or the route asks";
    case PlanFinding::exception_applied: return "an exception lowers what the MX must prove";
    case PlanFinding::address_unknown: return "no address of the MX is known";
  }
  return "unknown finding";
}

bool exception_applies(const ExceptionSettings& exception, const DomainName& next_hop, const DomainName& mx,
                       WallTime now) {
  if (now >= exception.until + std::chrono::days(1))
    return false;  // `until` is the last day on which it holds
  const auto names = [](const std::string& text, const DomainName& name) {
    const auto parsed = DomainName::parse(text);
    return parsed && !parsed->empty() && *parsed == name;
  };
  if (!exception.domain.empty()) return exception.mx.empty() && names(exception.domain, next_hop);
  return names(exception.mx, mx);
}

TlsPlan decide(const PlanRequest& request, const StsLookup& sts, const std::vector<MxFacts>& facts) {
  const Terms terms = terms_of(request, sts);
  TlsPlan plan;
  plan.policy_domain = request.next_hop;
  plan.sts_fetch_failure = terms.sts_fetch_failure;
  if (request.sts_mode != PolicyMode::off && sts.state == StsLookup::State::present) plan.sts = sts.cached;

  for (std::size_t i = 0; i < request.mx.hosts.size(); ++i) {
    plan.mx.push_back(decide_mx(terms, request.mx.hosts[i], i < facts.size() ? facts[i] : MxFacts()));
  }
  if (terms.sts_unknown && request.sts_mode == PolicyMode::enforce && !terms.lifted &&
      request.message_age < kLongestUnknown) {
    plan.must_wait = true;
    plan.why = "whether " + request.next_hop.text() + " has an MTA-STS policy is unknown: " + sts.detail;
  }
  bool any = false, forbidden = false;
  std::string reasons;
  for (MxPlan& mx : plan.mx) {
    if (plan.must_wait && mx.usable) refuse(mx, PlanFinding::sts_unknown, "");
    if (mx.usable) any = true;
    if (mx.usable) continue;
    close(mx);
    forbidden = forbidden || is_policy(mx.finding);
    reasons += (reasons.empty() ? "" : "; ") + mx.detail;
  }
  if (!any && !plan.must_wait) {
    plan.policy_forbids = forbidden;
    plan.why = plan.mx.empty() ? (request.mx.detail.empty() ? "no MX" : request.mx.detail) : reasons;
  }
  return plan;
}

}  // namespace holdfast
