#include "tests/simulation/world.h"

#include <stdexcept>

namespace holdfast::simulation {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr Duration kIdleStep = minutes(2);
constexpr Duration kBusyStep = seconds(5);
constexpr int kFineSteps = 300;  // from timer to timer, in one stretch; then in kBusyStep

const WallTime kBegin = std::chrono::sys_days(std::chrono::year(2026) / 3 / 1) + hours(18);

}  // namespace

World::World(std::uint64_t seed) : clock(kBegin), dice(seed * 2654435761U + 12345) {
  dns.on_query([this](std::string name, RecordType type) { return answer_slowly(std::move(name), type); });
  const int count = dice.between(1, 4);
  for (int i = 0; i < count; ++i) add_domain(i);
  // Where notifications, and what nobody else wants, go. They always come round.
  for (const char* own : {"origin.example", "relay.example", "rpt.example"}) {
    MailHost& host = add_host(own, std::string("mx.") + own, 10);
    host.never_fails_for_good = true;
    host.offers_tls = dice.chance(70);
    host.fault_percent = dice.chance(50) ? 10 : 0;
    host.lost_percent = dice.chance(30) ? 4 : 0;
  }
  add_web("web.rpt.example", "");
}

World::~World() = default;

std::string World::next_ip() { return "192.0.2." + std::to_string(++ips_); }

MailHost& World::add_host(const std::string& domain, const std::string& name, int preference) {
  hosts.push_back(std::make_unique<MailHost>());
  MailHost& host = *hosts.back();
  host.domain = domain;
  host.name = name;
  host.ip = next_ip();
  dns.mx(domain, static_cast<std::uint16_t>(preference), name);
  dns.address(name, host.ip);
  network.mail[host.ip] = &host;
  return host;
}

WebHost& World::add_web(const std::string& name, const std::string& domain) {
  webs.push_back(std::make_unique<WebHost>());
  WebHost& web = *webs.back();
  web.name = name;
  web.ip = next_ip();
  web.domain = domain;
  dns.address(name, web.ip);
  network.web[web.ip] = &web;
  return web;
}

void World::add_domain(int number) {
  domains.push_back(std::make_unique<Domain>());
  Domain& domain = *domains.back();
  domain.name = "d" + std::to_string(number) + ".example";
  domain.is_signed = dice.chance(45);
  if (domain.is_signed) dns.sign(domain.name);
  const int count = dice.between(1, 3);
  for (int i = 0; i < count; ++i) {
    MailHost& host =
        add_host(domain.name, "mx" + std::to_string(i) + "." + domain.name, 10 * dice.between(1, 2));
    host.offers_tls = dice.chance(90);
    host.chunking = dice.chance(50);
    host.requiretls = dice.chance(50);
    host.dsn = dice.chance(50);
    host.fault_percent = dice.chance(60) ? dice.between(1, 15) : 0;
    host.cut_percent = dice.chance(40) ? dice.between(1, 15) : 0;
    host.lost_percent = dice.chance(40) ? dice.between(1, 10) : 0;
    domain.hosts.push_back(&host);
    if (domain.is_signed && dice.chance(70)) {
      using Keys = std::vector<std::pair<Shown, int>>;
      publish_tlsa(host, dice.chance(10) ? Keys{} : Keys{{Shown::good, 0}});
    }
  }
  domain.policy_host = &add_web("mta-sts." + domain.name, domain.name);
  if (dice.chance(65)) publish(domain, some_policy(domain));
  domain.wants_reports = dice.chance(70);
  if (domain.wants_reports) {
    dns.txt("_smtp._tls." + domain.name, dice.chance(50)
                                             ? "v=TLSRPTv1; rua=mailto:tls-" + domain.name + "@rpt.example"
                                             : "v=TLSRPTv1; rua=https://web.rpt.example/" + domain.name);
  }
}

PolicyText World::some_policy(const Domain& domain) {
  PolicyText policy;
  policy.mode = dice.chance(70) ? "enforce" : dice.chance(60) ? "testing" : "none";
  policy.max_age = seconds(dice.chance(30) ? dice.between(1800, 10000) : dice.between(86400, 1000000));
  if (dice.chance(60)) {
    policy.mx.push_back("*." + domain.name);
  } else {
    for (const MailHost* host : domain.hosts)
      if (dice.chance(80)) policy.mx.push_back(host->name);
    if (policy.mx.empty()) policy.mx.push_back("elsewhere." + domain.name);
  }
  return policy;
}

Domain& World::domain(const std::string& name) {
  for (auto& domain : domains)
    if (domain->name == name) return *domain;
  throw std::out_of_range(name);
}

void World::publish(Domain& domain, std::optional<PolicyText> policy) {
  note_trouble(domain);
  const std::string record = "_mta-sts." + domain.name;
  dns.remove(record, RecordType::txt);
  domain.record_there = policy.has_value();
  if (!policy) {
    trace.add("world", domain.name + " has no record any more");
    return;  // the policy host stays as it is
  }
  dns.txt(record, "v=STSv1; id=p" + std::to_string(++domain.policy_number) + ";");
  trace.add("world",
            domain.name + " publishes " + policy->mode + " " + std::to_string(policy->max_age.count()));
  domain.policy_host->policy = std::move(policy);
}

void World::publish_tlsa(MailHost& host, std::optional<std::vector<std::pair<Shown, int>>> keys) {
  const std::string at = "_25._tcp." + host.name;
  dns.remove(at, RecordType::tlsa);
  Demands demands;
  demands.since = clock.now();
  if (keys) {
    demands.dane = true;
    demands.tlsa = *keys;
    for (const auto& [shown, key] : *keys)
      dns.tlsa(at, identity_of(host.name, shown, key).certificate.tlsa(3, 1, 1));
    // Usages that SMTP does not know count for nothing, but that they are there asks for TLS.
    if (keys->empty()) dns.tlsa(at, identity_of(host.name, Shown::good).certificate.tlsa(1, 1, 1));
  }
  trace.add("world", host.name + " TLSA " + (keys ? std::to_string(keys->size()) : "none"));
  seen.demands[host.name].push_back(std::move(demands));
}

void World::settle() {
  context.restart();
  context.poll();
}

void World::pass(Duration time) {
  const SteadyTime end = clock.now() + time;
  int fine = 0;
  settle();
  while (clock.now() < end) {
    const bool busy = network.sessions > 0 || clients > 0 || stage.waits > 0;
    if (!busy) fine = 0;
    if (busy && fine < kFineSteps) {
      ++fine;
      if (!clock.advance_to_next()) clock.advance(kBusyStep);
    } else {
      clock.advance(std::min<Duration>(end - clock.now(), busy ? kBusyStep : kIdleStep));
    }
    settle();
  }
}

asio::awaitable<void> World::answer_slowly(std::string name, RecordType type) {
  const Waiting waiting(stage);
  const DnsAnswer now = dns.answer(name, type);
  trace.add("dns", name + " " + std::to_string(static_cast<int>(type)) + " " + describe(now.status));
  const Duration wait = now.status == DnsStatus::timed_out ? Duration(seconds(4))
                                                           : std::chrono::milliseconds(dice.between(0, 30));
  co_await sleep_for(clock, wait);
}

}  // namespace holdfast::simulation
