// tests/simulation/taps.h — what listens to the relay from inside: its log, its ledger; and a planner that
// can be told to do wrong.
#pragma once

#include <map>

#include "smtp/base/log.h"
#include "sts/tls_planner.h"
#include "tests/simulation/gates.h"
#include "tlsrpt/outcome.h"

namespace holdfast::simulation {

// What the relay said of one recipient, over all lives.
struct Told {
  struct Line {
    std::string event;  // delivered, deferred, bounced, expired
    SteadyTime at{};
    std::int64_t next = 0;  // deferred: when it is due again, seconds since 1970 on the relay's timeline
    int attempt = 0;
    int life = 0;
  };
  std::vector<Line> lines;
};

// Outlives the lives.
struct Heard {
  std::map<std::string, Told> recipients;  // by address
  std::map<std::string, std::uint64_t> counted,
      counted_lately;  // TLS sessions by domain; in the last second of a life
  std::map<std::string, std::uint64_t> successes;
  WallTime last_counted{};
  std::uint64_t events = 0;
};

class SimLog final : public Log {
 public:
  SimLog(World& world, Heard& heard, const Power& power) : world_(world), heard_(heard), power_(power) {}
  bool enabled(LogLevel) const override { return true; }
  void event(std::string_view name, const Fields& fields) override;
  void write(LogLevel level, std::string_view text, const Fields& fields) override;

 private:
  void check_octets(std::string_view text);

  World& world_;
  Heard& heard_;
  const Power& power_;
};

class TapLedger final : public Ledger {
 public:
  TapLedger(Ledger& next, World& world, Heard& heard, const Power& power, Plant plant)
      : next_(next), world_(world), heard_(heard), power_(power), plant_(plant) {}
  void record(SessionOutcome outcome) override;
  // What was recorded in the last second before a crash may be lost.
  void crashed();

 private:
  struct Recent {
    SteadyTime at{};
    std::string domain;
  };
  Ledger& next_;
  World& world_;
  Heard& heard_;
  const Power& power_;
  Plant plant_;
  std::deque<Recent> recent_;
};

class PlantedPlanner final : public TlsPlanner {
 public:
  PlantedPlanner(std::unique_ptr<TlsPlanner> next, Plant plant) : next_(std::move(next)), plant_(plant) {}
  asio::awaitable<TlsPlan> plan(PlanRequest request) override;

 private:
  std::unique_ptr<TlsPlanner> next_;
  Plant plant_;
};

// The text of a string field of a log line; "" when it has none.
std::string field_of(std::string_view json, std::string_view key);

}  // namespace holdfast::simulation
