// decide(): invariants over random inputs.
#include <gtest/gtest.h>

#include <random>

#include "tests/sts/tls_decision_cases.h"

namespace holdfast::decision {
namespace {

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
      if (one_host.tlsa_base.empty() && chance(8)) one_host.addresses.alias_status = DnsStatus::timed_out;
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
      const bool hidden = is_unknown(c.f[i].tlsa_status) ||
                          (is_unknown(c.f[i].addresses.alias_status) && (c.r.mx.secure || c.r.route));
      if (hidden && c.r.dane_mode == PolicyMode::enforce && !(lower && c.r.message.tls_required_no)) {
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
      // REQUIRETLS, a verified route: a policy is also what vouches for an MX, so it can make one usable.
      if (c.r.message.requiretls || (c.r.route && c.r.route->tls == RouteTls::verify)) continue;
      ASSERT_GE(strength(strict.mx[i]), strength(after.mx[i]));
    }
  }
}

}  // namespace
}  // namespace holdfast::decision
