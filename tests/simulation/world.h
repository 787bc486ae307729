// tests/simulation/world.h — the internet around the relay: domains with their hosts, zones and policies, and
// how they change. Everything that stands in `stage.seen` is the world's own truth.
#pragma once

#include <boost/asio/io_context.hpp>
#include <list>
#include <map>
#include <memory>
#include <set>

#include "smtp/client/connector.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/zone_resolver.h"
#include "tests/simulation/web_host.h"

namespace holdfast::simulation {

struct Domain {
  std::string name;
  std::vector<MailHost*> hosts;
  WebHost* policy_host = nullptr;
  bool is_signed = false;
  bool wants_reports = false;
  bool record_there = false;         // _mta-sts
  int policy_number = 0;             // of the id
  std::set<std::string> dns_faults;  // names that fail now
  SteadyTime healthy_since{};        // record, policy host and DNS as they should be, and unchanged
};

// A connection of the relay, or to it: counted while it is open, and cut when the relay dies.
class Line;

class Network final : public Connector {
 public:
  Network(asio::io_context& context, Stage& stage) : context_(context), stage_(stage) {}
  asio::awaitable<Result<std::unique_ptr<Stream>>> connect(ConnectTarget target, Duration limit) override;

  // Wraps one end so that cut_all() reaches it. `open` is counted.
  std::unique_ptr<Stream> attach(std::unique_ptr<Stream> stream, unsigned* open);
  void cut_all();
  bool up = true;
  unsigned per_host_limit = 0, total_limit = 0;  // 0: not judged
  unsigned open = 0;                             // of the relay's own, to mail hosts

  std::map<std::string, MailHost*> mail;  // by address
  std::map<std::string, WebHost*> web;
  unsigned sessions = 0;  // of the world that run

 private:
  friend class Line;
  asio::io_context& context_;
  Stage& stage_;
  std::list<Line*> order_;  // in the order of their making
};

class World {
 public:
  explicit World(std::uint64_t seed);
  ~World();

  Domain& domain(const std::string& name);
  // Publishes another policy: record, text and id.
  void publish(Domain& domain, std::optional<PolicyText> policy);
  // Publishes TLSA records for these certificates of the host; nullopt: none at all.
  void publish_tlsa(MailHost& host, std::optional<std::vector<std::pair<Shown, int>>> keys);
  // One of the changes that a bad day brings.
  void mischief();
  void fault_dns(Domain& domain);
  void heal(Domain& domain);
  // Everything works from now on.
  void become_calm();
  // Runs what is ready, then moves time; true while something may still come of it.
  void pass(Duration time);
  void settle();

  FakeClock clock;
  Dice dice;
  Trace trace{clock};
  Seen seen;
  Stage stage{clock, dice, trace, seen, false, 0};
  Network network{context, stage};
  ZoneResolver dns;
  std::vector<std::unique_ptr<MailHost>> hosts;
  std::vector<std::unique_ptr<WebHost>> webs;
  std::vector<std::unique_ptr<Domain>> domains;  // of recipients
  unsigned clients = 0;                          // that submit now

 private:
  MailHost& add_host(const std::string& domain, const std::string& name, int preference);
  WebHost& add_web(const std::string& name, const std::string& domain);
  void add_domain(int number);
  asio::awaitable<void> answer_slowly(std::string name, RecordType type);
  PolicyText some_policy(const Domain& domain);
  void note_trouble(Domain& domain) { domain.healthy_since = clock.now(); }
  std::string next_ip();

  int ips_ = 0;

 public:
  asio::io_context context;  // last: what still waits in it ends before what it uses
};

}  // namespace holdfast::simulation
