#include "tlsrpt/reporter_state.h"

#include <algorithm>
#include <array>

namespace holdfast {

namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::minutes;

// A report waits for the jitter (a day at most) or for a back-off (an hour).
constexpr auto kFurthest = hours(25);
constexpr auto kHold = minutes(1);
constexpr std::string_view kQueuedAs = "queued as ";

WallTime later(WallTime now, Duration by) { return now + std::chrono::floor<microseconds>(by); }

bool is_over(const ReportProgress& report, WallTime now, Duration retry_for) {
  return report.started && now - *report.started >= retry_for;
}

void end_when_all_ended(ReportProgress& report, WallTime now) {
  const bool waits = std::any_of(report.targets.begin(), report.targets.end(),
                                 [](const auto& target) { return target.state == TargetState::waiting; });
  if (waits) return;
  report.state = ReportState::done;
  report.ended = now;
}

}  // namespace

const char* name(ReportState state) {
  constexpr std::array kNames{"frozen", "built", "done"};
  return kNames.at(static_cast<std::size_t>(state));
}

const char* name(TargetState state) {
  constexpr std::array kNames{"waiting", "queued", "sent", "given-up", "bounced"};
  return kNames.at(static_cast<std::size_t>(state));
}

Duration spread(const DomainName& domain, Duration jitter) {
  if (jitter <= Duration::zero()) return Duration::zero();
  std::uint64_t hash = 14695981039346656037ULL;  // FNV-1a: the same in every build, unlike std::hash
  for (const char c : domain.text()) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  hash ^= hash >> 32;
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(jitter).count();
  return std::chrono::seconds(hash % static_cast<std::uint64_t>(seconds));
}

Duration back_off(unsigned failures) {
  constexpr std::array<minutes, 5> kPauses{minutes(1), minutes(5), minutes(15), minutes(30), minutes(60)};
  return kPauses[std::min<std::size_t>(failures == 0 ? 0 : failures - 1, kPauses.size() - 1)];
}

ReportProgress freeze(std::chrono::sys_days day, const DomainName& domain, Duration jitter, WallTime now) {
  ReportProgress report;
  report.day = day;
  report.domain = domain;
  // A day that was missed is spread from now on: those who come back after an outage come together.
  const WallTime midnight = day + std::chrono::days(1);
  const WallTime base = now - midnight < std::chrono::days(1) ? midnight : now;
  report.next = later(base, spread(domain, jitter));
  return report;
}

bool is_due(WallTime at, WallTime now) { return at <= now || at - now > kFurthest; }

std::optional<WallTime> next_step_at(const ReportProgress& report) {
  if (report.state == ReportState::frozen) return report.next;
  std::optional<WallTime> first;
  if (report.state == ReportState::done) return first;
  for (const auto& target : report.targets) {
    if (target.state == TargetState::waiting && (!first || target.next < *first)) first = target.next;
  }
  return first;
}

bool looked_up(ReportProgress& report, const TargetLookup& lookup, WallTime now, Duration retry_for) {
  if (!report.started) report.started = now;
  if (!lookup.targets.empty()) return true;
  if (!lookup.temporary) {
    skip(report, lookup.unknown.empty() ? std::string(kNotAskedFor) : lookup.unknown, now);
    return false;
  }
  // A DNS failure says nothing about the domain's wishes: the day is kept.
  ++report.lookups;
  report.reason = lookup.unknown;
  report.next = later(now, back_off(report.lookups));
  if (is_over(report, now, retry_for)) skip(report, "given up: " + lookup.unknown, now);
  return false;
}

void skip(ReportProgress& report, std::string why, WallTime now) {
  report.state = ReportState::done;
  report.ended = now;
  for (auto& target : report.targets) {
    if (target.state != TargetState::waiting) continue;
    target.state = TargetState::given_up;
    target.reason = why;
  }
  report.reason = std::move(why);
}

void built(ReportProgress& report, std::string id, std::string json, const std::vector<ReportTarget>& targets,
           WallTime now) {
  report.state = ReportState::built;
  report.report_id = std::move(id);
  report.json = std::move(json);
  report.reason.clear();
  for (const auto& target : targets) {
    const bool known = std::any_of(report.targets.begin(), report.targets.end(),
                                   [&](const auto& other) { return other.target == target; });
    if (known) continue;  // once per target and day (invariant 40), also when the record lists it twice
    TargetProgress progress;
    progress.target = target;
    progress.next = now;
    report.targets.push_back(std::move(progress));
  }
}

void tried(ReportProgress& report, std::size_t index, const Attempt& attempt, WallTime now,
           Duration retry_for) {
  using enum Attempt::Result;
  auto& target = report.targets.at(index);
  target.reason = attempt.reason;
  if (attempt.result != hold) ++target.attempts;
  switch (attempt.result) {
    case sent: target.state = TargetState::sent; break;
    case queued: target.state = TargetState::queued; break;
    case useless: target.state = TargetState::given_up; break;
    case again: target.next = later(now, back_off(target.attempts)); break;
    case hold: target.next = later(now, kHold); break;
  }
  if (target.state == TargetState::waiting && is_over(report, now, retry_for))
    target.state = TargetState::given_up;
  end_when_all_ended(report, now);
}

std::string queued_reason(const QueueId& id) { return std::string(kQueuedAs) + id.text(); }

std::optional<QueueId> queued_id(const TargetProgress& target) {
  if (target.state != TargetState::queued || !target.reason.starts_with(kQueuedAs)) return std::nullopt;
  return QueueId::parse(std::string_view(target.reason).substr(kQueuedAs.size()));
}

std::string mail_key(const std::string& report_id, const ReportTarget& target) {
  return "tlsrpt " + report_id + " " + target.uri();
}

}  // namespace holdfast
