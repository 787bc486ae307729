#include "tests/world/sample_domains.h"

namespace holdfast::world {
namespace {

MxSettings with_certificate(Identity identity) {
  MxSettings settings;
  settings.tls.identity = std::move(identity);
  return settings;
}

}  // namespace

std::vector<SampleDomain> add_sample_domains(World& world) {
  std::vector<SampleDomain> domains;
  const auto add = [&](const std::string& name, const std::string& policy, const std::string& about,
                       bool delivered, bool in_tour) {
    if (policy != "none published") world.publish_policy(name, policy, {"mx." + name});
    world.publish_tlsrpt(name, "mailto:tls-reports@" + name);
    domains.push_back({name, policy, about, delivered, in_tour});
  };
  const auto& authority = world.authority();

  CertificateSpec unknown;
  unknown.common_name = "mx.nopolicy.test";
  world.add_simple_domain("nopolicy.test", with_certificate(self_signed(unknown)));
  add("nopolicy.test", "none published", "STARTTLS with a certificate that nobody vouches for", true, true);

  world.add_simple_domain("testing.test", with_certificate(authority.issue("elsewhere.test")));
  add("testing.test", "testing", "a certificate for another host", true, true);

  world.add_simple_domain("enforce.test");
  add("enforce.test", "enforce", "all as it should be", true, true);

  world.add_simple_domain("stripped.test");
  Tampering strip;
  strip.strip_starttls = true;
  world.interpose("mx.stripped.test", strip);
  add("stripped.test", "enforce", "a man in the middle strips STARTTLS", false, true);

  world.add_simple_domain("wrongcert.test", with_certificate(authority.issue("elsewhere.test")));
  add("wrongcert.test", "enforce", "a certificate for another host", false, true);

  world.add_mx("mx.attacker.test");
  world.add_domain("straymx.test", {"mx.attacker.test"});
  add("straymx.test", "enforce", "an MX outside the policy", false, true);

  CertificateSpec expired;
  expired.dns_names = {"mx.expired.test"};
  expired.valid_from = std::chrono::hours(-48);
  expired.valid_until = std::chrono::hours(-24);
  world.add_simple_domain("expired.test", with_certificate(authority.issue(expired)));
  add("expired.test", "enforce", "an expired certificate", false, false);

  world.add_simple_domain("untrusted.test",
                          with_certificate(world.other_authority().issue("mx.untrusted.test")));
  add("untrusted.test", "enforce", "a certificate of an unknown authority", false, false);

  world.add_simple_domain("fetchfail.test");
  add("fetchfail.test", "enforce", "its policy host answers 404", true, false);
  HttpReply missing;
  missing.status = 404;
  world.https().serve("mta-sts.fetchfail.test", missing);

  MxSettings clear;
  clear.starttls = false;
  world.add_simple_domain("cleartext.test", clear);
  add("cleartext.test", "none published", "no STARTTLS at all", true, false);

  world.add_simple_domain("none.test", with_certificate(self_signed(unknown)));
  add("none.test", "none", "a policy that says none", true, false);

  world.add_simple_domain("busy.test").on(Stage::rcpt, Reaction::reply("450 4.2.0 busy, come again"));
  add("busy.test", "none published", "answers every recipient with 450", false, false);

  world.add_simple_domain("refusing.test").on(Stage::rcpt, Reaction::reply("550 5.1.1 nobody here"));
  add("refusing.test", "none published", "answers every recipient with 550", false, false);

  world.add_simple_domain("sender.test");  // bounces go there
  add("sender.test", "none published", "home of the senders", true, false);
  return domains;
}

}  // namespace holdfast::world
