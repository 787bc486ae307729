#include "tests/simulation/taps.h"

#include <algorithm>

namespace holdfast::simulation {

std::string field_of(std::string_view json, std::string_view key) {
  const std::string label = "\"" + std::string(key) + "\":";
  const auto at = json.find(label);
  if (at == std::string_view::npos) return "";
  std::string_view rest = json.substr(at + label.size());
  if (!rest.starts_with('"')) return std::string(rest.substr(0, rest.find_first_of(",}")));
  rest.remove_prefix(1);
  return std::string(rest.substr(0, rest.find('"')));
}

void SimLog::check_octets(std::string_view text) {
  const bool odd = std::any_of(text.begin(), text.end(),
                               [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
  if (odd)
    world_.seen.fail("invariant 28: control octets in a log line: " + std::string(text.substr(0, 300)));
}

void SimLog::event(std::string_view name, const Fields& fields) {
  if (!power_.on) return;
  ++heard_.events;
  check_octets(fields.json());
  world_.trace.add(name, fields.json());
  if (name != "delivered" && name != "deferred" && name != "bounced" && name != "expired") return;
  const std::string to = field_of(fields.json(), "to");
  Told::Line line;
  line.event = std::string(name);
  line.at = world_.clock.now();
  line.life = world_.stage.life;
  line.attempt = std::atoi(field_of(fields.json(), "attempt").c_str());
  line.next = std::atoll(field_of(fields.json(), "next").c_str());
  heard_.recipients[to].lines.push_back(std::move(line));
}

void SimLog::write(LogLevel level, std::string_view text, const Fields& fields) {
  if (!power_.on) return;
  check_octets(fields.json());
  if (level == LogLevel::debug || level == LogLevel::trace) return;
  world_.trace.add(level == LogLevel::info      ? "info"
                   : level == LogLevel::warning ? "warning"
                                                : "error",
                   std::string(text) + " " + fields.json());
  if (text.find("bug:") != std::string_view::npos || text.find("exception") != std::string_view::npos)
    world_.seen.fail("the relay says of itself: " + std::string(text));
}

void TapLedger::record(SessionOutcome outcome) {
  if (!power_.on) return;
  const std::string domain = outcome.report_domain.text();
  const bool success = outcome.result == ResultType::success;
  world_.trace.add("session", domain + " " + name(outcome.result) + " " + outcome.mx_host);
  ++heard_.counted[domain];
  heard_.last_counted = world_.clock.wall();
  if (success) ++heard_.successes[domain];
  recent_.push_back({world_.clock.now(), domain});
  while (world_.clock.now() - recent_.front().at > std::chrono::seconds(2)) recent_.pop_front();
  if (plant_ == Plant::ledger_counts_twice) next_.record(outcome);
  next_.record(std::move(outcome));
}

void TapLedger::crashed() {
  for (const auto& one : recent_) {
    if (world_.clock.now() - one.at > std::chrono::seconds(1)) continue;
    ++heard_.counted_lately[one.domain];
  }
}

asio::awaitable<TlsPlan> PlantedPlanner::plan(PlanRequest request) {
  TlsPlan plan = co_await next_->plan(std::move(request));
  if (plant_ != Plant::planner_ignores_policy) co_return plan;
  plan.must_wait = plan.policy_forbids = false;
  for (auto& mx : plan.mx) {
    mx.usable = true;
    mx.requirement = TlsRequirement();
    mx.requirement.level = TlsLevel::opportunistic;
    mx.requirement.cleartext_allowed = true;
    mx.requirement.server_name = mx.mx.name;
  }
  co_return plan;
}

}  // namespace holdfast::simulation
