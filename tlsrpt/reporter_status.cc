// What `holdfast tlsrpt status` shows, and what it asks the queue for it.
#include <fmt/chrono.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "smtp/base/hop.h"
#include "tlsrpt/report_ends.h"
#include "tlsrpt/reporter.h"

namespace holdfast {

namespace json = boost::json;

namespace {

constexpr int kSchema = 1;
constexpr std::size_t kMostReports = 5000;
constexpr std::size_t kMostQuestions = 500;  // to the queue, for one answer

std::string day_text(std::chrono::sys_days day) {
  return fmt::format("{:%Y-%m-%d}", std::chrono::sys_seconds(day));
}

std::string time_text(WallTime at) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", std::chrono::floor<std::chrono::seconds>(at));
}

std::string line_of(json::object object) { return json::serialize(object) + "\n"; }

std::string key_line(const KeyRecord& key, const std::string& missing) {
  json::object object{{"schema", kSchema},        {"kind", "key"},
                      {"name", key.name},         {"txt", key.value},
                      {"publish", key.zone_line}, {"found", missing.empty()},
                      {"reason", missing}};
  return line_of(std::move(object));
}

std::string address_line(const SuppressedAddress& address) {
  json::object object{{"schema", kSchema},
                      {"kind", "suppressed"},
                      {"address", address.address},
                      {"until", time_text(address.until)},
                      {"reason", address.reason}};
  return line_of(std::move(object));
}

std::string report_line(const ReportProgress& report) {
  json::array targets;
  for (const auto& target : report.targets) {
    json::object one{{"uri", target.target.uri()},
                     {"state", name(target.state)},
                     {"attempts", target.attempts},
                     {"reason", target.reason}};
    const bool goes_on = target.state == TargetState::waiting || target.state == TargetState::queued;
    if (goes_on && target.next != WallTime()) one["next"] = time_text(target.next);
    targets.emplace_back(std::move(one));
  }
  json::object object{{"schema", kSchema},           {"kind", "report"},
                      {"day", day_text(report.day)}, {"domain", report.domain.text()},
                      {"state", name(report.state)}, {"report_id", report.report_id},
                      {"reason", report.reason}};
  const auto next = next_step_at(report);
  if (next) object["next"] = time_text(*next);
  object["targets"] = std::move(targets);
  return line_of(std::move(object));
}

}  // namespace

// A mail is the queue's business once it is there: what its receiver says, only the queue knows.
asio::awaitable<void> Reporter::ask_queue(std::vector<ReportProgress>& reports) {
  std::size_t asked = 0;
  for (auto& report : reports) {
    for (auto& target : report.targets) {
      if (target.state == TargetState::queued) target.next = {};
      const auto id = queued_id(target);
      if (!id || asked >= kMostQuestions) continue;
      ++asked;
      auto found = co_await parts_.queued.find(*id);
      if (!found) {
        target.reason += "; the queue cannot be read: " + found.error().text();
      } else if (!*found) {
        target.reason += ", and gone from there";
      } else if ((*found)->ended) {
        target.reason += ", and has just left it";  // the end is on its way to the reporter's store
      } else if (!(*found)->reason.empty()) {
        target.reason += ", tried " + std::to_string((*found)->attempts) + " times: " + (*found)->reason;
        target.next = (*found)->next;
      }
    }
  }
}

// The queue tells of a mail's end once. A crash right after it leaves a report "queued" that no longer is: so
// after each start the queue's history is asked for what was missed.
asio::awaitable<Result<void>> Reporter::take_up_ends() {
  if (ends_taken_up_) co_return Result<void>();
  std::vector<ReportProgress> reports;
  std::function<Result<void>()> read = [&]() -> Result<void> {
    auto listed = parts_.store.list(std::nullopt, false, kMostReports);
    if (!listed) return listed.error();
    reports = std::move(*listed);
    return {};
  };
  auto done = co_await on_disk(std::move(read));
  if (!done) co_return done;
  for (const auto& report : reports) {
    for (const auto& target : report.targets) {
      const auto id = queued_id(target);
      if (!id) continue;
      auto found = co_await parts_.queued.find(*id);
      if (!found) co_return found.error();
      if (!*found || !(*found)->ended) continue;
      RecipientEnd end;
      end.id = *id;
      end.origin = kReportOrigin;
      end.idempotency_key = mail_key(report.report_id, target.target);
      end.recipient = target.target.address;
      end.how = *(*found)->ended;
      end.reason = (*found)->reason;
      parts_.ends.recipient_ended(end);
    }
  }
  ends_taken_up_ = true;
  co_return Result<void>();
}

asio::awaitable<Result<std::string>> Reporter::status_json(std::optional<std::chrono::sys_days> day,
                                                           bool all) {
  std::string lines;
  const auto settings = parts_.settings.current();
  if (settings->tlsrpt.enabled) {
    co_await check_key(settings);
    lines += key_line(key_.record, key_.missing);
  }
  std::vector<ReportProgress> found;
  std::function<Result<void>()> read = [&]() -> Result<void> {
    auto addresses = parts_.store.all_suppressed(parts_.clock.wall());
    if (!addresses) return addresses.error();
    for (const auto& address : *addresses) lines += address_line(address);
    auto reports = parts_.store.list(day, all, kMostReports);
    if (!reports) return reports.error();
    found = std::move(*reports);
    return {};
  };
  auto done = co_await on_disk(std::move(read));
  if (!done) co_return done.error();
  co_await ask_queue(found);
  for (const auto& report : found) lines += report_line(report);
  co_return lines;
}

asio::awaitable<Result<std::vector<ReportProgress>>> Reporter::reports(std::chrono::sys_days day,
                                                                       std::size_t limit) {
  std::vector<ReportProgress> found;
  std::function<Result<void>()> read = [&]() -> Result<void> {
    auto listed = parts_.store.list(day, false, limit);
    if (!listed) return listed.error();
    found = std::move(*listed);
    return {};
  };
  auto done = co_await on_disk(std::move(read));
  if (!done) co_return done.error();
  co_await ask_queue(found);
  co_return found;
}

}  // namespace holdfast
