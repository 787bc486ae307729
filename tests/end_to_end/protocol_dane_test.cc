// DANE for SMTP (RFC 7672) and what MTA-STS and DANE owe each other (RFC 8461 section 2), line by line.
#include "tests/end_to_end/protocol.h"

namespace holdfast::world {
namespace {

using End = ProtocolCase::End;
using Cases = std::vector<ProtocolCase>;

void add_tlsa(World& world, const std::string& base, const std::string& record, int port = 0) {
  world.dns().add("_" + std::to_string(port != 0 ? port : world.mx_port()) + "._tcp." + base, "TLSA", record);
}
// "3 1 1" and the association of this certificate.
std::string record_of(int usage, int selector, int matching, const std::string& pem) {
  return std::to_string(usage) + " " + std::to_string(selector) + " " + std::to_string(matching) + " " +
         tlsa_association(pem, selector, matching);
}
std::string stranger(int usage = 3, int selector = 1, int matching = 1) {
  return record_of(usage, selector, matching, self_signed({}).chain_pem);
}

// A secure domain whose MX shows `identity`, with this TLSA set.
void add_secure(World& world, const Identity& identity, const std::vector<std::string>& records) {
  world.add_simple_domain(kDomain, showing(identity));
  world.dns().set_secure(kDomain, true);
  for (const auto& record : records) add_tlsa(world, kTheMx, record);
}

Identity own(std::chrono::seconds until = std::chrono::hours(24)) {
  CertificateSpec spec;
  spec.valid_from = std::chrono::hours(-48);
  spec.valid_until = until;
  return self_signed(spec);  // names nobody
}

// A leaf with its authority's root behind it, as DANE-TA needs.
Identity with_root(World& world, const CertificateSpec& spec) {
  Identity identity = world.other_authority().issue(spec);
  identity.chain_pem += world.other_authority().root_pem();
  return identity;
}
CertificateSpec named(const std::string& name) {
  CertificateSpec spec;
  spec.dns_names = {name};
  return spec;
}
std::string anchor(World& world) { return record_of(2, 0, 1, world.other_authority().root_pem()); }

const std::vector<Counted> kMatched = {{"tlsa", 1, 0, {}}};

Cases bases() {
  return {
      {"TheRecordAtThePortConnectedToCounts",
       [](World& world) {
         const Identity identity = own();
         add_secure(world, identity, {record_of(3, 1, 1, identity.chain_pem)});
         add_tlsa(world, kTheMx, stranger(), 25);
       },
       End::over_tls, kMatched},
      {"ARecordAtAnotherPortSaysNothing",
       [](World& world) {
         add_secure(world, own(), {});
         add_tlsa(world, kTheMx, stranger(), 25);
       },
       End::over_tls,
       {{"no-policy-found", 1, 0, {}}}},
      {"TheEndOfASecureAliasComesFirst",
       [](World& world) {
         const Identity identity = own();
         world.add_mx("real.d.test", showing(identity));
         world.dns().add(kTheMx, "CNAME", "real.d.test");
         world.add_domain(kDomain, {kTheMx});
         world.dns().set_secure(kDomain, true);
         add_tlsa(world, "real.d.test", record_of(3, 1, 1, identity.chain_pem));
         add_tlsa(world, kTheMx, stranger());
       },
       End::over_tls, kMatched,
       [](World&, Relay& relay) {
         const auto report =
             relay.run_json({"tlsrpt", "preview", "--day", "today", "--domain", kDomain}).at(0);
         // The domain's receivers hear of it, under the name of the TLSA base domain.
         EXPECT_EQ(report["report.policies.0.policy.policy-domain"], "real.d.test") << report.text();
       }},
      {"ThenTheOriginalName",
       [](World& world) {
         world.add_mx("real.d.test");
         world.dns().add(kTheMx, "CNAME", "real.d.test");
         world.add_domain(kDomain, {kTheMx});
         world.dns().set_secure(kDomain, true);
         add_tlsa(world, kTheMx, stranger());
       },
       End::held},
      {"ASecureAliasIntoAnUnsignedZoneLeavesTheOriginalName",
       [](World& world) {
         world.add_mx("mx.unsigned.test");
         world.dns().add(kTheMx, "CNAME", "mx.unsigned.test");
         world.add_domain(kDomain, {kTheMx});
         world.dns().set_secure(kDomain, true);
         add_tlsa(world, kTheMx, stranger());
       },
       End::held},
      {"BehindAnUnsignedMxRecordItIsUsedAllTheSame",
       [](World& world) {
         world.add_simple_domain(kDomain);
         world.dns().set_secure(kTheMx, true);
         add_tlsa(world, kTheMx, stranger());
       },
       End::held},
      {"AnUnsignedHostsRecordProvesNothing",
       [](World& world) {
         world.add_simple_domain(kDomain);
         add_tlsa(world, kTheMx, stranger());
       },
       End::over_tls,
       {{"no-policy-found", 1, 0, {}}}},
      {"ASilentLookupForASecureHostPutsItAside",
       [](World& world) {
         add_secure(world, own(), {stranger()});
         world.dns().set_fault("_" + std::to_string(world.mx_port()) + "._tcp.mx.d.test", "TLSA",
                               DnsFault::timeout);
       },
       End::held,
       {},
       [](World& world, Relay&) { EXPECT_TRUE(world.journal().sessions(kTheMx).empty()); }},
      {"WithoutTrustInTheResolverItsAdBitIsWorthNothing",
       [](World& world) { add_secure(world, own(), {stranger()}); },
       End::over_tls,
       {{"no-policy-found", 1, 0, {}}},
       {},
       {{"dns.dnssec", "\"off\""}}},
  };
}

Cases usages() {
  const auto match = [](int selector, int matching) {
    return [selector, matching](World& world) {
      const Identity identity = own();
      add_secure(world, identity, {record_of(3, selector, matching, identity.chain_pem)});
    };
  };
  return {
      {"EndEntityOfAFullCertificate", match(0, 0), End::over_tls, kMatched},
      {"EndEntityOfACertificatesSha256", match(0, 1), End::over_tls, kMatched},
      {"EndEntityOfACertificatesSha512", match(0, 2), End::over_tls, kMatched},
      {"EndEntityOfAFullKey", match(1, 0), End::over_tls, kMatched},
      {"EndEntityOfAKeysSha512", match(1, 2), End::over_tls, kMatched},
      {"EndEntityAsksForNeitherNameNorDate",
       [](World& world) {
         const Identity identity = own(std::chrono::hours(-1));
         add_secure(world, identity, {record_of(3, 1, 1, identity.chain_pem)});
       },
       End::over_tls, kMatched},
      {"OneMatchOfSeveralIsEnough",
       [](World& world) {
         const Identity identity = own();
         add_secure(world, identity, {stranger(), record_of(3, 1, 1, identity.chain_pem)});
       },
       End::over_tls, kMatched},
      {"TheStrongestDigestAloneCounts",
       [](World& world) {
         const Identity identity = own();
         add_secure(world, identity, {record_of(3, 1, 1, identity.chain_pem), stranger(3, 1, 2)});
       },
       End::held},
      {"TrustAnchorWithTheRightName",
       [](World& world) { add_secure(world, with_root(world, named(kTheMx)), {anchor(world)}); },
       End::over_tls, kMatched},
      {"TrustAnchorTakesTheNextHopsName",
       [](World& world) { add_secure(world, with_root(world, named(kDomain)), {anchor(world)}); },
       End::over_tls, kMatched},
      {"TrustAnchorAsksForTheName",
       [](World& world) { add_secure(world, with_root(world, named("elsewhere.test")), {anchor(world)}); },
       End::held},
      {"TrustAnchorAsksForTheDate",
       [](World& world) {
         auto spec = named(kTheMx);
         spec.valid_from = std::chrono::hours(-48);
         spec.valid_until = std::chrono::hours(-1);
         add_secure(world, with_root(world, spec), {anchor(world)});
       },
       End::held},
      {"UsagesOfPkixAreUnusableThoughOpensslWouldTakeThem",
       [](World& world) {
         const Identity identity = own();
         add_secure(world, identity, {record_of(1, 1, 1, identity.chain_pem), stranger(0, 0, 1)});
       },
       End::over_tls,
       {{"tlsa", 0, 1, {"tlsa-invalid"}}}},
      {"AllUnusableStillMeansTls",
       [](World& world) {
         MxSettings clear;
         clear.starttls = false;
         world.add_simple_domain(kDomain, clear);
         world.dns().set_secure(kDomain, true);
         add_tlsa(world, kTheMx, stranger(1));
       },
       End::held},
      {"ASecureRecordMeansTls",
       [](World& world) {
         MxSettings clear;
         clear.starttls = false;
         world.add_simple_domain(kDomain, clear);
         world.dns().set_secure(kDomain, true);
         add_tlsa(world, kTheMx, stranger());
       },
       End::held,
       {{"tlsa", 0, 1, {"starttls-not-supported"}}}},
  };
}

Cases together() {
  return {
      {"BothHold",
       [](World& world) {
         const Identity identity = world.authority().issue(kTheMx);
         add_secure(world, identity, {record_of(3, 1, 1, identity.chain_pem)});
         world.publish_policy(kDomain, "enforce", {kTheMx});
       },
       End::over_tls,
       {{"tlsa", 1, 0, {}}, {"sts", 1, 0, {}}}},
      {"MtaStsNeverRescuesFailingDane",
       [](World& world) {
         add_secure(world, world.authority().issue(kTheMx), {stranger()});
         world.publish_policy(kDomain, "enforce", {kTheMx});
       },
       End::held,
       {{"tlsa", 0, 1, {"validation-failure"}}, {"sts", 1, 0, {}}}},
      {"DaneNeverRescuesFailingMtaSts",
       [](World& world) {
         const Identity identity = world.other_authority().issue(kTheMx);
         add_secure(world, identity, {record_of(3, 1, 1, identity.chain_pem)});
         world.publish_policy(kDomain, "enforce", {kTheMx});
       },
       End::held,
       {{"tlsa", 1, 0, {}}, {"sts", 0, 1, {"certificate-not-trusted"}}}},
      {"DaneExcusesNoMxOutsideThePolicy",
       [](World& world) {
         const Identity identity = world.authority().issue(kTheMx);
         add_secure(world, identity, {record_of(3, 1, 1, identity.chain_pem)});
         world.publish_policy(kDomain, "enforce", {"other.d.test"});
       },
       End::held,
       {},
       [](World& world, Relay&) { EXPECT_TRUE(world.journal().sessions(kTheMx).empty()); }},
  };
}

class DaneBase : public ProtocolTest {};
class DaneUsage : public ProtocolTest {};
class DaneAndMtaSts : public ProtocolTest {};
TEST_P(DaneBase, IsFound) { prove(); }
TEST_P(DaneUsage, IsVerified) { prove(); }
TEST_P(DaneAndMtaSts, Hold) { prove(); }
INSTANTIATE_TEST_SUITE_P(Line, DaneBase, testing::ValuesIn(bases()), name_of_case);
INSTANTIATE_TEST_SUITE_P(Line, DaneUsage, testing::ValuesIn(usages()), name_of_case);
INSTANTIATE_TEST_SUITE_P(Line, DaneAndMtaSts, testing::ValuesIn(together()), name_of_case);

}  // namespace
}  // namespace holdfast::world
