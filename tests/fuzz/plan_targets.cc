// sts/tls_decision: any policy, TLSA set, MX list, message and configuration, and for each MX every kind of
// connection that the network could give: the plan lets a message go exactly where the texts of the RFCs do.
//
// The second opinion below is written from the outside: not what a requirement says, but what may be sent on
// a connection that proved this much.
#include <algorithm>

#include "sts/tls_planner.h"
#include "tests/fuzz/fuzz.h"

namespace holdfast::fuzz {
namespace {

const WallTime kNow = std::chrono::sys_days(std::chrono::year(2026) / 3 / 10) + std::chrono::hours(12);

// Choices, one octet each; past the end the first one.
class Choices {
 public:
  explicit Choices(std::string_view input) : rest_(input) {}
  std::size_t below(std::size_t bound) {
    if (rest_.empty()) return 0;
    const std::size_t value = static_cast<unsigned char>(rest_[0]) % bound;
    rest_.remove_prefix(1);
    return value;
  }
  bool flag() { return below(2) == 1; }
  template <class T, std::size_t N>
  const T& of(const T (&values)[N]) {
    return values[below(N)];
  }

 private:
  std::string_view rest_;
};

DomainName domain(const std::string& text) {
  return text.empty() ? DomainName() : DomainName::parse(text).value();
}

const std::string kNames[] = {"mx.example.com",
                              "a.mx.example.com",
                              "mx2.example.com",
                              "example.com",
                              "mx.example.com.evil.test",
                              "mx.evil.test",
                              ""};
const std::string kPatterns[] = {"mx.example.com", "*.example.com", "*.mx.example.com",
                                 "*.com",          "example.com",   "mx.evil.test"};

enum class Mode { none, testing, enforce };

// Beside the request, what it was made from.
struct Case {
  PlanRequest request;
  StsLookup sts;
  std::vector<MxFacts> facts;
  Mode mode = Mode::none;
  std::vector<std::string> patterns;
  struct Exception {
    bool for_domain = false;
    std::string mx;  // "": for none
    bool over = false, bad_certificate = false, no_starttls = false;
  };
  std::vector<Exception> exceptions;
};

StsPolicy make_policy(Choices& choose, Case& made) {
  static constexpr const char* kModes[] = {"none", "testing", "enforce"};
  const std::size_t mode = choose.below(3);
  made.mode = static_cast<Mode>(mode);
  const std::string end = choose.flag() ? "\r\n" : "\n";
  std::string text = "version: STSv1" + end + "mode: " + kModes[mode] + end;
  if (choose.flag()) text += std::string("mode: ") + kModes[choose.below(3)] + end;  // the first one counts
  for (std::size_t left = 1 + choose.below(3); left > 0; --left) {
    made.patterns.push_back(choose.of(kPatterns));
    text += "mx: " + made.patterns.back() + end;
  }
  auto policy = StsPolicy::parse(text + "max_age: 86400" + end);
  require(policy.has_value(), "a sound policy is read");
  return std::move(*policy);
}

void choose_sts(Choices& choose, Case& made) {
  switch (choose.below(5)) {
    case 0: made.sts.state = StsLookup::State::absent; break;
    case 1: made.sts.state = StsLookup::State::unknown; break;
    case 2:
      made.sts.state = StsLookup::State::absent;
      made.sts.fetch_failure = StsError::http_status;
      break;
    default:
      made.sts.state = StsLookup::State::present;
      made.sts.cached = CachedPolicy{made.request.next_hop, "1", make_policy(choose, made), kNow, kNow};
  }
}

MxFacts choose_facts(Choices& choose, const DomainName& host) {
  static constexpr DnsStatus kStatus[] = {DnsStatus::ok,          DnsStatus::no_data,
                                          DnsStatus::nx_domain,   DnsStatus::timed_out,
                                          DnsStatus::cname_limit, DnsStatus::server_failure};
  // Of what a domain may publish, with the length that its digest has or another one.
  static constexpr std::size_t kSizes[] = {32, 64, 0, 31};
  MxFacts facts;
  const std::size_t failing = choose.below(8);
  if (failing == 6) facts.addresses.alias_status = DnsStatus::timed_out;
  facts.addresses.status = failing == 7 ? DnsStatus::server_failure : DnsStatus::ok;
  facts.addresses.secure = choose.flag();
  facts.tlsa_status = choose.of(kStatus);
  facts.tlsa_secure = choose.flag();
  facts.tlsa_base = choose.flag() ? domain("mail.example.net") : choose.flag() ? host : DomainName();
  if (facts.tlsa_status != DnsStatus::ok) return facts;
  for (std::size_t left = choose.below(4); left > 0; --left) {
    TlsaRecord record;
    record.usage = static_cast<std::uint8_t>(choose.below(5));
    record.selector = static_cast<std::uint8_t>(choose.below(3));
    record.matching_type = static_cast<std::uint8_t>(choose.below(4));
    record.data = std::string(choose.of(kSizes), static_cast<char>('a' + choose.below(2)));
    facts.tlsa.push_back(std::move(record));
  }
  return facts;
}

void choose_route(Choices& choose, PlanRequest& request) {
  if (!choose.flag()) return;
  static constexpr TlsVersion kVersions[] = {TlsVersion::none, TlsVersion::tls12, TlsVersion::tls13};
  RouteTlsDemand route;
  route.tls = static_cast<RouteTls>(choose.below(3));
  route.implicit_tls = choose.flag();
  route.min_version = choose.of(kVersions);
  if (choose.flag()) route.ciphers = "HIGH";
  route.password = route.tls == RouteTls::verify && choose.flag();
  request.route = route;
}

void choose_exceptions(Choices& choose, Case& made) {
  for (std::size_t left = choose.below(3); left > 0; --left) {
    Case::Exception chosen;
    ExceptionSettings setting;
    switch (choose.below(3)) {
      case 0:
        chosen.for_domain = true;
        setting.domain = choose.flag() ? "Example.COM." : "example.com";
        break;
      case 1: setting.domain = choose.flag() ? "sub.example.com" : "com"; break;
      default: chosen.mx = setting.mx = choose.of(kNames);
    }
    const std::size_t day = choose.below(3);  // yesterday, today, tomorrow
    chosen.over = day == 0;
    setting.until = std::chrono::sys_days(std::chrono::year(2026) / 3 / 9) + std::chrono::days(day);
    chosen.bad_certificate = choose.flag();
    chosen.no_starttls = choose.flag();
    if (chosen.bad_certificate) setting.allow.push_back(Relaxation::bad_certificate);
    if (chosen.no_starttls) setting.allow.push_back(Relaxation::no_starttls);
    setting.reason = "ticket";
    made.exceptions.push_back(chosen);
    made.request.exceptions.push_back(std::move(setting));
  }
}

Case make_case(std::string_view input) {
  Choices choose(input);
  Case made;
  PlanRequest& request = made.request;
  request.next_hop = domain("example.com");
  request.message = {choose.flag(), choose.flag()};
  request.floor = choose.flag() ? TlsFloor::required : TlsFloor::opportunistic;
  request.sts_mode = static_cast<PolicyMode>(choose.below(3));
  request.dane_mode = static_cast<PolicyMode>(choose.below(3));
  request.message_age = std::chrono::minutes(choose.flag() ? 30 : 29);
  request.now = kNow;
  request.mx.domain = request.next_hop;
  request.mx.verdict = MxVerdict::ok;
  request.mx.secure = choose.flag();
  choose_sts(choose, made);
  choose_route(choose, request);
  choose_exceptions(choose, made);
  for (std::size_t left = 1 + choose.below(3); left > 0; --left) {
    const DomainName host = domain(choose.of(kNames));
    request.mx.hosts.push_back({host, 10});
    made.facts.push_back(choose_facts(choose, host));
  }
  if (choose.flag()) made.facts.pop_back();  // what nobody looked up is not known
  return made;
}

// --- the second opinion ---

bool is_listed(const Case& made, const std::string& host) {
  return std::any_of(made.patterns.begin(), made.patterns.end(), [&](const std::string& pattern) {
    if (!pattern.starts_with("*.")) return pattern == host;
    const std::size_t dot = host.find('.');  // exactly one label, RFC 8461 section 4.1
    return dot != std::string::npos && dot > 0 && host.substr(dot) == pattern.substr(1);
  });
}

// RFC 7672 section 3.1, RFC 7671 section 9. Full data is never sound here: choose_facts makes none.
std::vector<TlsaRecord> matchable(const MxFacts& facts) {
  const auto sound = [](const TlsaRecord& r) {
    return (r.usage == 2 || r.usage == 3) && r.selector <= 1 &&
           ((r.matching_type == 1 && r.data.size() == 32) || (r.matching_type == 2 && r.data.size() == 64));
  };
  std::vector<TlsaRecord> found;
  for (const TlsaRecord& record : facts.tlsa) {
    const bool outdone = std::any_of(facts.tlsa.begin(), facts.tlsa.end(), [&](const TlsaRecord& other) {
      return sound(other) && other.usage == record.usage && other.selector == record.selector &&
             other.matching_type > record.matching_type;
    });
    if (sound(record) && !outdone && std::find(found.begin(), found.end(), record) == found.end())
      found.push_back(record);
  }
  std::sort(found.begin(), found.end());
  return found;
}

// What one MX must prove, as plain yes and no.
struct Verdict {
  bool never = false;  // not to be connected to
  bool tls = false, pkix = false, dane = false, requiretls = false;
  TlsVersion least = TlsVersion::none;
  std::string ciphers;
};

struct Lowered {
  bool bad_certificate = false, no_starttls = false;
};

Lowered lowered(const Case& made, const std::string& host) {
  Lowered by;
  if (made.request.message.requiretls || (made.request.route && made.request.route->password)) return by;
  for (const Case::Exception& exception : made.exceptions) {
    if (exception.over || !(exception.for_domain || (!exception.mx.empty() && exception.mx == host)))
      continue;
    by.bad_certificate |= exception.bad_certificate;
    by.no_starttls |= exception.no_starttls;
  }
  return by;
}

Verdict judge(const Case& made, const std::string& host, const MxFacts& facts) {
  const PlanRequest& request = made.request;
  const bool optional =
      request.message.tls_required_no && !request.message.requiretls;  // RFC 8689 section 4.1
  const bool has_policy = made.sts.cached && made.mode != Mode::none && request.sts_mode != PolicyMode::off;
  const bool sts =
      has_policy && made.mode == Mode::enforce && request.sts_mode == PolicyMode::enforce && !optional;
  const bool dane = request.dane_mode == PolicyMode::enforce && !optional;
  const bool secure_set = facts.tlsa_status == DnsStatus::ok && facts.tlsa_secure && !facts.tlsa.empty();
  const bool tlsa_hidden =
      facts.tlsa_status == DnsStatus::server_failure || facts.tlsa_status == DnsStatus::timed_out ||
      facts.tlsa_status == DnsStatus::cname_limit ||
      (facts.addresses.alias_status != DnsStatus::ok && (request.mx.secure || request.route));
  const auto& route = request.route;

  Verdict verdict;
  verdict.never = facts.addresses.status != DnsStatus::ok || (sts && !is_listed(made, host)) ||
                  (dane && tlsa_hidden) ||
                  (made.sts.state == StsLookup::State::unknown && request.sts_mode == PolicyMode::enforce &&
                   !optional && request.message_age < std::chrono::minutes(30));
  verdict.dane = dane && secure_set && !matchable(facts).empty();
  const bool verify = route && route->tls == RouteTls::verify;
  verdict.pkix = sts || verify;
  verdict.requiretls = request.message.requiretls;
  const bool vouched = request.mx.secure || (has_policy && is_listed(made, host)) ||
                       (verify && host == request.next_hop.text());
  if (verify) verdict.never = verdict.never || !vouched;
  if (verdict.requiretls) {
    verdict.never = verdict.never || !vouched;
    verdict.pkix = verdict.pkix || !verdict.dane;
  }
  verdict.never = verdict.never || (host.empty() && (verdict.pkix || verdict.dane));
  verdict.tls = verdict.pkix || verdict.dane || (dane && secure_set) ||
                (request.floor == TlsFloor::required && !optional);
  if (route) {
    verdict.least = route->min_version;
    verdict.ciphers = route->ciphers;
    verdict.tls = verdict.tls || route->implicit_tls || route->tls == RouteTls::required ||
                  verdict.least != TlsVersion::none || !verdict.ciphers.empty();
  }

  const Lowered by = lowered(made, host);
  const bool clear = by.no_starttls && !(route && route->implicit_tls);
  if (by.bad_certificate || clear) verdict.pkix = verdict.dane = false;
  if (clear) verdict = Verdict{.never = verdict.never, .requiretls = verdict.requiretls, .ciphers = ""};
  return verdict;
}

bool may_carry(const TlsEvidence& connection, const Verdict& verdict, const std::string& host,
               const DaneRequirement& dane) {
  if (verdict.never) return false;
  if (connection.version == TlsVersion::none) return !verdict.tls;
  if (connection.version < verdict.least) return false;
  if (!verdict.ciphers.empty() && connection.ciphers != verdict.ciphers) return false;
  if (verdict.requiretls && !connection.requiretls_offered) return false;
  if (!verdict.pkix && !verdict.dane) return true;
  if (connection.version < TlsVersion::tls12 || connection.resumed || !connection.strict) return false;
  if (verdict.pkix && !(connection.pkix && connection.pkix->name.text() == host)) return false;
  return !verdict.dane || (connection.dane && *connection.dane == dane);
}

// --- connections ---

// What a connection to the host must have matched for DANE: the records that can be matched, and the names of
// RFC 7672 section 3.2.2.
DaneRequirement proof(const DomainName& next_hop, const DomainName& host, const MxFacts& facts) {
  DaneRequirement dane;
  dane.base_domain = facts.tlsa_base.empty() ? host : facts.tlsa_base;
  for (const DomainName& name : {dane.base_domain, host, next_hop})
    if (!name.empty() && std::find(dane.names.begin(), dane.names.end(), name) == dane.names.end())
      dane.names.push_back(name);
  dane.records = matchable(facts);
  return dane;
}

// Every kind of connection that there can be to this host.
std::vector<TlsEvidence> connections(const DomainName& host, const DaneRequirement& dane) {
  DaneRequirement other_records = dane, other_base = dane;
  other_records.records.push_back({3, 1, 1, std::string(32, 'z')});
  other_base.base_domain = domain("other.test");
  const std::optional<PkixRequirement> names[] = {std::nullopt, PkixRequirement{host},
                                                  PkixRequirement{domain("other.test")}};
  const std::optional<DaneRequirement> sets[] = {std::nullopt, dane, other_records, other_base};
  std::vector<TlsEvidence> all(1);
  all[0].requiretls_offered = true;  // said in clear, it means nothing
  for (const auto version : {TlsVersion::tls10, TlsVersion::tls11, TlsVersion::tls12, TlsVersion::tls13})
    for (const auto& name : names)
      for (const auto& set : sets)
        for (unsigned flags = 0; flags < 16; ++flags) {
          TlsEvidence connection;
          connection.version = version;
          connection.pkix = name;
          connection.dane = set;
          connection.resumed = (flags & 1) != 0;
          connection.strict = (flags & 2) != 0;
          connection.requiretls_offered = (flags & 4) != 0;
          if ((flags & 8) != 0) connection.ciphers = "HIGH";
          all.push_back(std::move(connection));
        }
  return all;
}

bool lets_through(const MxPlan& plan, const TlsEvidence& connection) {
  return plan.usable && satisfies(connection, plan.requirement);
}

void check_mx(const Case& made, const MxPlan& plan, const MxPlan& stricter, const MxFacts& facts) {
  const DomainName& host = plan.mx.name;
  const DaneRequirement dane = proof(made.request.next_hop, host, facts);
  const Verdict verdict = judge(made, host.text(), facts);
  const bool excepted = !plan.lowered_by.empty();
  for (const TlsEvidence& connection : connections(host, dane)) {
    const bool goes = lets_through(plan, connection);
    require(goes == may_carry(connection, verdict, host.text(), dane),
            "a message goes where the policies' texts let it, and nowhere else");
    if (!plan.usable)
      require(connection.version != TlsVersion::none || !satisfies(connection, plan.requirement),
              "what is not usable takes nothing in clear, even from who overlooks that");
    require(goes || !lets_through(stricter, connection), "REQUIRETLS never lowers");
  }
  // Said once more, by itself, since it is the promise: RFC 8461 section 5.
  const bool optional = made.request.message.tls_required_no && !made.request.message.requiretls;
  if (made.sts.cached && made.mode == Mode::enforce && made.request.sts_mode == PolicyMode::enforce &&
      !optional && !excepted && plan.usable)
    require(is_listed(made, host.text()) && plan.requirement.level == TlsLevel::authenticated &&
                plan.requirement.pkix && plan.requirement.pkix->name == host &&
                !plan.requirement.cleartext_allowed && plan.requirement.min_version >= TlsVersion::tls12,
            "an enforce policy asks for a listed MX with a certificate of its name");

  require(!plan.policies.empty(), "each session counts under a policy, or under none");
  for (const AppliedPolicy& policy : plan.policies)
    require(!policy.enforced || !excepted, "what an exception lowers is not reported as enforced");
  require(plan.requirement.level != TlsLevel::authenticated || plan.requirement.pkix || plan.requirement.dane,
          "authenticated means by something");
  require(!plan.requirement.dane || !plan.requirement.dane->records.empty(),
          "an empty TLSA set proves nothing");
}

}  // namespace

void fuzz_plan(std::string_view input) {
  const Case made = make_case(input);
  const TlsPlan plan = decide(made.request, made.sts, made.facts);
  PlanRequest stricter = made.request;
  stricter.message.requiretls = true;
  const TlsPlan strict = decide(stricter, made.sts, made.facts);
  require(plan.mx.size() == made.request.mx.hosts.size() && strict.mx.size() == plan.mx.size(),
          "each MX has its plan");
  bool any = false;
  for (std::size_t i = 0; i < plan.mx.size(); ++i) {
    check_mx(made, plan.mx[i], strict.mx[i], i < made.facts.size() ? made.facts[i] : MxFacts());
    require(plan.mx[i].usable || !plan.mx[i].detail.empty() || plan.must_wait, "why an MX is out is said");
    any = any || plan.mx[i].usable;
  }
  require(!any || !plan.must_wait, "who must wait has no MX to try");
  require(!any || !plan.policy_forbids, "a policy that forbids leaves no MX");
  require(any || !plan.why.empty(), "why nothing can be tried is said");
}

}  // namespace holdfast::fuzz
