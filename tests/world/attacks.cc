#include "tests/world/attacks.h"

#include "tests/world/relay.h"
#include "tests/world/smtp_client.h"

namespace holdfast::world {
namespace {

// For a delivery on a machine that has other things to do.
constexpr Milliseconds kLongest{60000};

// A word of the message that no other message holds.
std::string canary(const Attack& attack) { return "canary." + attack.name + ".5e1d"; }

std::string mx_of(const std::string& domain) { return "mx." + domain; }

void enforce(World& world, const std::string& domain, MxSettings settings = {}) {
  world.add_simple_domain(domain, std::move(settings));
  world.publish_policy(domain, "enforce", {mx_of(domain)});
}

void strip(World& world, const std::string& domain) {
  Tampering tampering;
  tampering.strip_starttls = true;
  world.interpose(mx_of(domain), tampering);
}

MxSettings showing(Identity identity) {
  MxSettings settings;
  settings.tls.identity = std::move(identity);
  return settings;
}

// A new id is published, and the policy host answers it like this.
void new_policy(World& world, const std::string& domain, HttpReply reply) {
  world.dns().replace("_mta-sts." + domain, "TXT", "v=STSv1; id=2;");
  world.https().serve("mta-sts." + domain, std::move(reply));
}

HttpReply weaker_policy() {
  HttpReply reply;
  reply.body = policy_text("none", {});
  return reply;
}

void add_tlsa(World& world, const std::string& domain, const Identity& identity) {
  world.dns().set_secure(domain, true);
  world.dns().add("_" + std::to_string(world.mx_port()) + "._tcp." + mx_of(domain), "TLSA",
                  "3 1 1 " + tlsa_association(identity.chain_pem, 1, 1));
}

std::vector<Attack> make_attacks() {
  std::vector<Attack> all;
  const auto add = [&](std::string name, std::string about, auto arrange) {
    all.push_back({std::move(name), std::move(about), std::move(arrange), {}});
  };
  // Against a policy that the relay has cached; STARTTLS is stripped as well.
  const auto add_strike = [&](std::string name, std::string about, auto change) {
    all.push_back({std::move(name), std::move(about),
                   [](World& world, const std::string& domain) { enforce(world, domain); },
                   [change](World& world, const std::string& domain) {
                     change(world, domain);
                     strip(world, domain);
                   }});
  };

  add("starttls-stripped", "takes STARTTLS out of the EHLO reply",
      [](World& world, const std::string& domain) {
        enforce(world, domain);
        strip(world, domain);
      });
  add("starttls-refused", "answers STARTTLS with 454", [](World& world, const std::string& domain) {
    enforce(world, domain);
    world.mx(mx_of(domain)).on(Stage::starttls, Reaction::reply("454 4.7.0 TLS not available"));
  });
  add("starttls-refused-for-good", "answers STARTTLS with 554", [](World& world, const std::string& domain) {
    enforce(world, domain);
    world.mx(mx_of(domain)).on(Stage::starttls, Reaction::reply("554 5.7.0 no TLS here, ever"));
  });
  // Nothing that is said before the handshake may bounce mail: anybody on the way can say it.
  add("greeting-forged", "greets with 554", [](World& world, const std::string& domain) {
    enforce(world, domain);
    world.mx(mx_of(domain)).on(Stage::connect, Reaction::reply("554 5.7.1 you are not welcome"));
  });
  add("hello-forged", "refuses EHLO and HELO with 550", [](World& world, const std::string& domain) {
    enforce(world, domain);
    world.mx(mx_of(domain)).on(Stage::helo, Reaction::reply("550 5.7.1 you are not welcome"));
  });
  add("tls-too-old", "speaks TLS 1.1 and nothing better", [](World& world, const std::string& domain) {
    MxSettings old;
    old.tls.min_version = "1.0";
    old.tls.max_version = "1.1";
    enforce(world, domain, old);
  });
  add("reply-injected", "puts clear text behind the reply to STARTTLS",
      [](World& world, const std::string& domain) {
        enforce(world, domain);
        Tampering tampering;
        tampering.inject_after_starttls = "250 2.0.0 ok\r\n";
        world.interpose(mx_of(domain), tampering);
      });
  add("handshake-cut", "cuts the connection within the handshake",
      [](World& world, const std::string& domain) {
        enforce(world, domain);
        world.mx(mx_of(domain)).on(Stage::handshake, Reaction::drop());
      });
  add("certificate-of-another", "shows another host's certificate",
      [](World& world, const std::string& domain) {
        enforce(world, domain, showing(world.authority().issue("elsewhere.test")));
      });
  add("certificate-expired", "shows an expired certificate", [](World& world, const std::string& domain) {
    CertificateSpec expired;
    expired.dns_names = {mx_of(domain)};
    expired.valid_from = std::chrono::hours(-48);
    expired.valid_until = std::chrono::hours(-24);
    enforce(world, domain, showing(world.authority().issue(expired)));
  });
  add("certificate-self-signed", "shows a certificate that it made itself",
      [](World& world, const std::string& domain) {
        CertificateSpec own;
        own.dns_names = {mx_of(domain)};
        enforce(world, domain, showing(self_signed(own)));
      });
  add("certificate-unknown-authority", "shows a certificate of an authority that nobody trusts",
      [](World& world, const std::string& domain) {
        enforce(world, domain, showing(world.other_authority().issue(mx_of(domain))));
      });
  add("certificate-common-name", "shows a certificate with the name only in its CN",
      [](World& world, const std::string& domain) {
        CertificateSpec bare;
        bare.common_name = mx_of(domain);
        enforce(world, domain, showing(world.authority().issue(bare)));
      });
  add("mx-outside-policy", "forges the MX record", [](World& world, const std::string& domain) {
    enforce(world, domain);
    world.add_mx("mx.attacker.test");
    world.add_domain(domain, {"mx.attacker.test"});
  });
  add("tlsa-mismatch", "shows a certificate that no TLSA record names",
      [](World& world, const std::string& domain) {
        world.add_simple_domain(domain);
        add_tlsa(world, domain, self_signed({}));
      });
  add("tlsa-lookup-failing", "lets the TLSA lookup fail", [](World& world, const std::string& domain) {
    world.add_simple_domain(domain);
    add_tlsa(world, domain, self_signed({}));
    world.dns().set_fault("_" + std::to_string(world.mx_port()) + "._tcp." + mx_of(domain), "*",
                          DnsFault::servfail);
  });

  add_strike("policy-host-down", "takes the policy host down once the policy is cached",
             [](World& world, const std::string& domain) {
               HttpReply dead;
               dead.fault = HttpFault::drop;
               world.https().serve("mta-sts." + domain, dead);
             });
  add_strike(
      "record-removed", "removes the record of a cached policy",
      [](World& world, const std::string& domain) { world.dns().remove("_mta-sts." + domain, "TXT"); });
  add_strike("record-failing", "lets the lookup of the record fail",
             [](World& world, const std::string& domain) {
               world.dns().set_fault("_mta-sts." + domain, "*", DnsFault::servfail);
             });
  add_strike("id-poisoned", "publishes a new id for which there is no policy",
             [](World& world, const std::string& domain) {
               HttpReply missing;
               missing.status = 404;
               new_policy(world, domain, missing);
             });
  add_strike("policy-redirected", "redirects the fetch of a new id to a weaker policy",
             [](World& world, const std::string& domain) {
               HttpReply redirect = weaker_policy();
               redirect.status = 301;
               world.https().serve("mta-sts.attacker.test", weaker_policy());
               world.dns().replace("mta-sts.attacker.test", "A", world.https().endpoint().ip);
               redirect.headers.emplace_back(
                   "location", "https://mta-sts.attacker.test:" + std::to_string(world.https_port()) +
                                   "/.well-known/mta-sts.txt");
               new_policy(world, domain, redirect);
             });
  add_strike("policy-oversized", "serves a weaker policy of a megabyte",
             [](World& world, const std::string& domain) {
               HttpReply large = weaker_policy();
               large.body += "x: " + std::string(1024 * 1024, 'x') + "\r\n";
               new_policy(world, domain, large);
             });
  add_strike("policy-slow", "serves a weaker policy, octet by octet",
             [](World& world, const std::string& domain) {
               HttpReply slow = weaker_policy();
               slow.fault = HttpFault::drip;
               slow.drip_interval = Milliseconds(400);
               new_policy(world, domain, slow);
             });
  add_strike("policy-unauthenticated", "serves a weaker policy under a certificate that nobody trusts",
             [](World& world, const std::string& domain) {
               world.https().set_identity("mta-sts." + domain,
                                          world.other_authority().issue("mta-sts." + domain));
               new_policy(world, domain, weaker_policy());
             });
  return all;
}

bool submit(const Relay& relay, const Attack& attack, const std::string& user) {
  const std::string to = user + "@" + attack.name + ".test";
  SmtpClient client(relay.submission());
  if (client.log_in(Relay::kUser, Relay::kPassword).code != 235) return false;
  std::string content = "From: shop@sender.test\r\nSubject: ";
  content += canary(attack);
  content += "\r\n\r\nHello\r\n";
  return client.submit("shop@sender.test", {to}, content).code == 250;
}

AttackResult judge(const Attack& attack, const Relay& relay, World& world) {
  const std::string to = "bob@" + attack.name + ".test";
  AttackResult result{attack.name, attack.about, false, ""};
  const Journal& journal = world.journal();
  const auto deadline = std::chrono::steady_clock::now() + kLongest;
  std::vector<JsonLine> lines;
  do {  // the one is seen here, the other in the log of another process: nothing to wait on for both
    lines = relay.log({{"event", "deferred"}, {"to", to}});
    if (!lines.empty() || journal.wait_for_mail_to(to, Milliseconds(20))) break;
    if (!relay.log({{"event", "bounced"}, {"to", to}}).empty()) {
      result.how = "the message was bounced on the attacker's word";
      return result;
    }
  } while (std::chrono::steady_clock::now() < deadline);
  if (journal.wait_for_mail_to(to, Milliseconds(0))) {
    result.how = "the message was delivered to the attacker";
    return result;
  }
  for (const auto& session : journal.sessions()) {
    const std::string wire = session.wire->received();
    if (wire.find(to) == std::string::npos && wire.find(canary(attack)) == std::string::npos) continue;
    result.how = "a part of the message was on the wire in clear";
    return result;
  }
  if (lines.empty()) {
    result.how = "the delivery was not deferred: " + relay.transcript();
    return result;
  }
  result.held = true;
  result.how = lines.front()["reply"];
  return result;
}

}  // namespace

const std::vector<Attack>& attacks() {
  static const std::vector<Attack> all = make_attacks();
  return all;
}

std::vector<AttackResult> run_attacks(const AttackRun& run) {
  std::vector<const Attack*> chosen;
  for (const Attack& attack : attacks())
    if (run.only.empty() || run.only == attack.name) chosen.push_back(&attack);
  std::vector<AttackResult> results;
  const auto fail_all = [&](const std::string& why) {
    results.clear();
    for (const Attack* attack : chosen) results.push_back({attack->name, attack->about, false, why});
    return results;
  };

  World world;
  world.add_simple_domain("sender.test");
  for (const Attack* attack : chosen) attack->arrange(world, attack->name + ".test");
  RelayOptions options;
  options.binary = run.binary;
  options.settings = run.settings;
  options.settings["sts.fetch_timeout"] = "\"3s\"";
  options.settings["delivery.retry"] = "[\"1h\"]";  // one attempt is enough to judge
  Relay relay(world, options);
  if (!relay.start()) return fail_all("the relay did not start: " + relay.transcript());

  bool striking = false;
  for (const Attack* attack : chosen) {
    if (!attack->strike) continue;
    striking = true;
    if (!submit(relay, *attack, "first")) return fail_all("the relay took no message");
  }
  for (const Attack* attack : chosen) {
    if (attack->strike && !world.journal().wait_for_mail_to("first@" + attack->name + ".test", kLongest))
      return fail_all("mail is not even delivered where nobody attacks: " + relay.transcript());
  }
  if (striking) {
    if (relay.terminate() != 0) return fail_all("the relay did not stop: " + relay.transcript());
    for (const Attack* attack : chosen)
      if (attack->strike) attack->strike(world, attack->name + ".test");
    if (!relay.start()) return fail_all("the relay did not start again: " + relay.transcript());
  }
  for (const Attack* attack : chosen)
    if (!submit(relay, *attack, "bob")) return fail_all("the relay took no message");
  for (const Attack* attack : chosen) {
    if (run.told) run.told(results.size(), chosen.size());
    results.push_back(judge(*attack, relay, world));
  }
  return results;
}

}  // namespace holdfast::world
