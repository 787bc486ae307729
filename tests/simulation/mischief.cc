// What goes wrong in the world, and how it is mended.
#include "tests/simulation/world.h"

namespace holdfast::simulation {
namespace {

constexpr Duration kSlowEcho = std::chrono::minutes(45);  // an attempt that began before may still go on

}  // namespace

void World::fault_dns(Domain& domain) {
  std::vector<std::string> names = {domain.name, "_mta-sts." + domain.name, "mta-sts." + domain.name,
                                    "_smtp._tls." + domain.name};
  for (const MailHost* host : domain.hosts) {
    names.push_back(host->name);
    names.push_back("_25._tcp." + host->name);
  }
  const std::string name = dice.one_of(names);
  const DnsStatus status = dice.chance(50) ? DnsStatus::server_failure : DnsStatus::timed_out;
  dns.fail(name, status);
  domain.dns_faults.insert(name);
  note_trouble(domain);
  trace.add("world", "dns of " + name + " fails");
}

void World::heal(Domain& domain) {
  for (const auto& name : domain.dns_faults) dns.heal(name);
  domain.dns_faults.clear();
  domain.policy_host->fault = WebHost::Fault::none;
  for (MailHost* host : domain.hosts) {
    if (host->silent || host->unreachable || host->slow_seconds > 0)
      seen.slow_until[domain.name] = clock.now() + kSlowEcho;
    host->refuses = host->unreachable = host->silent = host->greets_badly = host->stripped =
        host->odd_replies = false;
    host->slow_seconds = 0;
    host->shown = Shown::good;
    host->key = 0;
    if (const auto demands = seen.demands.find(host->name);
        demands != seen.demands.end() && demands->second.back().dane &&
        demands->second.back().tlsa != std::vector<std::pair<Shown, int>>{{Shown::good, 0}})
      publish_tlsa(*host, std::vector<std::pair<Shown, int>>{{Shown::good, 0}});
  }
  note_trouble(domain);
  trace.add("world", domain.name + " is well");
}

void World::mischief() {
  Domain& domain = *dice.one_of(domains);
  MailHost& host = *dice.one_of(domain.hosts);
  const auto slow = [&] { seen.slow_until[domain.name] = SteadyTime::max(); };
  switch (dice.below(22)) {
    case 0: host.refuses = true; break;
    case 1: host.unreachable = true, slow(); break;
    case 2: host.silent = true, slow(); break;
    case 3: host.greets_badly = true; break;
    case 4: host.stripped = true; break;
    case 5: host.shown = dice.chance(50) ? Shown::wrong_name : Shown::untrusted; break;
    case 6: host.slow_seconds = dice.between(5, 100), slow(); break;
    case 7: host.odd_replies = true; break;
    case 8:
    case 9: fault_dns(domain); break;
    case 10:
    case 11:
      domain.policy_host->fault = static_cast<WebHost::Fault>(dice.between(1, 9));
      note_trouble(domain);
      break;
    case 12: publish(domain, some_policy(domain)); break;
    case 13: publish(domain, std::nullopt); break;
    case 14:  // everything that somebody in between can do to open the way
      for (MailHost* each : domain.hosts) each->stripped = true;
      domain.policy_host->fault = WebHost::Fault::hijacked;
      if (!domain.is_signed) publish(domain, std::nullopt);
      break;
    case 15:
      for (MailHost* each : domain.hosts) each->shown = Shown::untrusted;
      domain.policy_host->fault = WebHost::Fault::refuses;
      note_trouble(domain);
      break;
    case 16:  // a new key, told of before or not
      host.key = 1;
      if (domain.is_signed && dice.chance(70))
        publish_tlsa(host, std::vector<std::pair<Shown, int>>{{Shown::good, 0}, {Shown::good, 1}});
      break;
    case 17:  // DANE without any authority
      if (domain.is_signed) {
        host.shown = Shown::untrusted;
        publish_tlsa(host, std::vector<std::pair<Shown, int>>{{Shown::untrusted, host.key}});
      }
      break;
    case 18:
      if (domain.is_signed) publish_tlsa(host, std::nullopt);
      break;
    default: heal(domain); break;
  }
  trace.add("world", "mischief at " + host.name);
}

void World::become_calm() {
  stage.calm = true;
  for (auto& domain : domains) {
    heal(*domain);
    // Nobody is kept out any more by what a policy or TLSA set of before asked.
    if (domain->record_there) {
      PolicyText policy;
      policy.mode = "none";
      policy.max_age = std::chrono::hours(24);
      publish(*domain, policy);
    }
  }
  for (auto& web : webs) web->fault = WebHost::Fault::none;
  trace.add("world", "calm");
}

}  // namespace holdfast::simulation
