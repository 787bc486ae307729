#include "tlsrpt/reporter.h"

#include <boost/asio/post.hpp>

#include "smtp/base/base_error.h"
#include "smtp/base/hop.h"
#include "tlsrpt/gzip.h"
#include "tlsrpt/report_bound.h"
#include "tlsrpt/report_ends.h"
#include "tlsrpt/report_json.h"
#include "tlsrpt/report_mail.h"

namespace holdfast {

namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr auto kLook = seconds(5);
constexpr auto kSettle = seconds(60);  // after midnight: what ended in the old day is in the ledger by then
constexpr std::size_t kRound = 500;    // reports per look: bounds memory and what a look can take
constexpr std::size_t kAtATime = 8;
constexpr auto kLease = minutes(15);  // more than the slowest report: ten targets, a minute each
constexpr auto kHttpLimit = seconds(60);
constexpr std::size_t kMaxHttpAnswer = 64 * 1024;
constexpr auto kCheckKeyEvery = seconds(30);
constexpr auto kWarnOfKeyEvery = hours(1);
constexpr auto kCleanEvery = hours(1);
constexpr auto kKeepSessions = std::chrono::days(3);  // after the report ended: for preview and questions
constexpr auto kKeepReports = std::chrono::days(14);
constexpr auto kShortestLife = hours(1);  // of a report mail in the queue

asio::awaitable<Result<void>> call(std::function<Result<void>()> work) { co_return work(); }

bool has_failures(const Report& report) {
  return std::any_of(report.policies.begin(), report.policies.end(),
                     [](const auto& policy) { return policy.failed > 0; });
}

bool is_excluded(const TlsrptSettings& settings, const DomainName& domain) {
  return std::any_of(settings.exclude.begin(), settings.exclude.end(), [&](const std::string& text) {
    const auto excluded = DomainName::parse(text);
    return excluded && *excluded == domain;
  });
}

Attempt attempt(Attempt::Result result, std::string reason = {}) {
  Attempt made;
  made.result = result;
  made.reason = std::move(reason);
  return made;
}

const char* method(const ReportTarget& target) {
  return target.kind == ReportTarget::Kind::https ? "https" : "mailto";
}

std::string joined(const Reply& reply) {
  std::string out = std::to_string(reply.code);
  for (const auto& line : reply.text) out += " " + line;
  return out;
}

}  // namespace

struct Reporter::Round {
  std::deque<LedgerDay> work;
  std::size_t running = 0;
  std::string trouble;
  Notifier done;
};

Reporter::Reporter(Parts parts)
    : parts_(parts), tasks_(parts.executor, [&log = parts.log](std::string what) {
        log.error("tlsrpt: an exception ended a task: " + what);
      }) {}

Reporter::~Reporter() = default;

asio::awaitable<Result<void>> Reporter::on_disk(std::function<Result<void>()> work) {
  auto job = call(std::move(work));
  co_return co_await hop(parts_.disk, std::move(job));
}

void Reporter::start() {
  asio::post(parts_.executor, [this] { tasks_.spawn(run()); });
}

asio::awaitable<void> Reporter::stop() {
  auto end = [](Reporter* self) -> asio::awaitable<void> {
    self->tasks_.stop();
    co_await self->tasks_.drained();
  }(this);
  co_await hop(parts_.executor, std::move(end));
}

asio::awaitable<void> Reporter::run() {
  const auto settings = parts_.settings.current();
  if (settings->tlsrpt.enabled) co_await check_key(settings);
  bool awake = true;
  while (awake) {
    co_await look();
    awake = co_await sleep_for(parts_.clock, kLook);
  }
}

asio::awaitable<void> Reporter::look() {
  again_ = true;
  if (looking_) co_return;
  looking_ = true;
  while (again_ && !tasks_.stopping()) {
    again_ = false;
    auto round = std::make_shared<Round>();
    auto frozen = co_await freeze_past_days(false);
    if (!frozen) round->trouble = frozen.error().text();
    std::vector<ReportProgress> due;
    std::function<Result<void>()> find = [&]() -> Result<void> {
      auto found = parts_.store.due(parts_.clock.wall(), kRound);
      if (!found) return found.error();
      due = std::move(*found);
      return {};
    };
    auto found = co_await on_disk(std::move(find));
    if (!found) round->trouble = found.error().text();
    for (const auto& report : due) round->work.push_back({report.day, report.domain});
    for (std::size_t i = 0; i < std::min(kAtATime, due.size()); ++i) {
      if (tasks_.spawn(work_through(round))) ++round->running;
    }
    while (round->running > 0) co_await round->done.wait_through_cancellation();
    auto taken_up = co_await take_up_ends();
    if (!taken_up) round->trouble = taken_up.error().text();
    auto cleaned = co_await clean_up();
    if (!cleaned) round->trouble = cleaned.error().text();
    if (!round->trouble.empty() && round->trouble != trouble_ && !tasks_.stopping())
      parts_.log.error("TLS reports wait: " + round->trouble);
    trouble_ = round->trouble;
  }
  looking_ = false;
}

asio::awaitable<Result<void>> Reporter::freeze_past_days(bool at_once) {
  const WallTime now = parts_.clock.wall();
  const auto today = std::chrono::floor<std::chrono::days>(at_once ? now : now - kSettle);
  const bool ahead = frozen_before_ <= now && now - frozen_before_ < kSettle;  // asked for by send()
  if (!at_once && (today == frozen_before_ || ahead)) co_return Result<void>();
  auto days = co_await parts_.ledger.close_before(today);
  if (!days) co_return days.error();
  const Duration jitter = parts_.settings.current()->tlsrpt.jitter;
  std::vector<ReportProgress> reports;
  for (const auto& [day, domain] : *days) reports.push_back(freeze(day, domain, jitter, now));
  std::function<Result<void>()> work = [this, &reports]() -> Result<void> {
    auto added = parts_.store.freeze(reports);
    if (!added) return added.error();
    if (*added > 0)
      parts_.log.info("TLS reports are to be sent", Fields().add("reports", std::uint64_t{*added}));
    return {};
  };
  auto done = co_await on_disk(std::move(work));
  if (done) frozen_before_ = today;
  co_return done;
}

asio::awaitable<void> Reporter::work_through(std::shared_ptr<Round> round) {
  while (!round->work.empty() && !tasks_.stopping()) {
    const LedgerDay which = round->work.front();
    round->work.pop_front();
    auto processed = co_await process(which);
    if (!processed) round->trouble = processed.error().text();
  }
  --round->running;
  round->done.notify();
}

asio::awaitable<Result<void>> Reporter::save(const ReportProgress& report, bool release) {
  std::function<Result<void>()> work = [this, &report, release] {
    return parts_.store.save(report, release);
  };
  co_return co_await on_disk(std::move(work));
}

asio::awaitable<Result<void>> Reporter::process(LedgerDay which) {
  std::optional<ReportProgress> report;
  std::function<Result<void>()> take = [&]() -> Result<void> {
    auto taken = parts_.store.lease(which.day, which.domain, parts_.clock.wall(), kLease);
    if (!taken) return taken.error();
    report = std::move(*taken);
    return {};
  };
  auto taken = co_await on_disk(std::move(take));
  if (!taken || !report) co_return taken;
  const auto settings = parts_.settings.current();
  if (!settings->tlsrpt.enabled) {
    skip(*report, std::string(kSwitchedOff), parts_.clock.wall());
    co_return co_await save(*report, true);
  }
  if (report->state == ReportState::frozen) {
    const bool prepared = co_await prepare(*report, settings);
    if (!prepared) co_return Result<void>();  // told to stop: nothing is known
    const bool goes_on = report->state == ReportState::built;
    auto saved = co_await save(*report, !goes_on);
    if (!saved || !goes_on) co_return saved;
  }
  for (std::size_t i = 0; i < report->targets.size(); ++i) {
    if (report->targets[i].state != TargetState::waiting) continue;
    if (!is_due(report->targets[i].next, parts_.clock.wall())) continue;
    const Attempt made = co_await try_target(*report, i, settings);
    if (tasks_.stopping() && made.result == Attempt::Result::again) co_return Result<void>();
    tried(*report, i, made, parts_.clock.wall(), settings->tlsrpt.retry_for);
    auto saved = co_await save(*report, false);
    if (!saved) co_return saved;
    tell(*report, report->targets[i]);
  }
  co_return co_await save(*report, true);
}

// False when we were told to stop before anything was known.
asio::awaitable<bool> Reporter::prepare(ReportProgress& report, SettingsPtr settings) {
  if (is_excluded(settings->tlsrpt, report.domain)) {
    skip(report, std::string(kExcluded), parts_.clock.wall());
    co_return true;
  }
  auto lookup = co_await lookup_report_targets(parts_.resolver, report.domain);
  if (tasks_.stopping()) co_return false;
  if (!looked_up(report, lookup, parts_.clock.wall(), settings->tlsrpt.retry_for)) co_return true;
  if (!settings->tlsrpt.https) {
    std::erase_if(lookup.targets,
                  [](const ReportTarget& target) { return target.kind == ReportTarget::Kind::https; });
  }
  if (lookup.targets.empty()) {
    skip(report, std::string(kHttpsIsOff), parts_.clock.wall());
    co_return true;
  }
  auto why_not = co_await build(report, settings, lookup.targets);
  if (!why_not) {
    // The ledger cannot be read: that passes, and says nothing against the report.
    report.reason = why_not.error().text();
    report.next = parts_.clock.wall() + minutes(1);
    if (!tasks_.stopping()) parts_.log.error("a TLS report could not be built: " + report.reason);
  } else if (!why_not->empty()) {
    skip(report, *why_not, parts_.clock.wall());
  }
  co_return true;
}

asio::awaitable<Result<std::string>> Reporter::build(ReportProgress& report, SettingsPtr settings,
                                                     std::vector<ReportTarget> targets) {
  auto rows = co_await parts_.ledger.rows(report.day, report.domain);
  if (!rows) co_return rows.error();
  ReportSender sender;
  sender.organization = settings->tlsrpt.organization;
  sender.contact = settings->tlsrpt.contact;
  sender.node = settings->hostname;
  auto reports = build_reports(*rows, sender);
  if (reports.empty()) co_return std::string("the ledger holds no session of that day");
  if (settings->tlsrpt.only_failures && !has_failures(reports.front())) co_return std::string(kNothingFailed);
  std::string id = reports.front().report_id;
  built(report, std::move(id), bounded_report_json(std::move(reports.front())), targets, parts_.clock.wall());
  co_return std::string();
}

asio::awaitable<Attempt> Reporter::try_target(const ReportProgress& report, std::size_t index,
                                              SettingsPtr settings) {
  const ReportTarget target = report.targets[index].target;
  if (target.kind == ReportTarget::Kind::mailto) co_return co_await mail(report, target, settings);
  co_return co_await post(report, target.address, settings);
}

// Section 5.4.
asio::awaitable<Attempt> Reporter::post(const ReportProgress& report, std::string address,
                                        SettingsPtr settings) {
  auto url = HttpsUrl::parse(address, settings->tlsrpt.https_port);
  if (!url) co_return attempt(Attempt::Result::useless, url.error().detail);
  HttpLimits limits;
  limits.max_body = kMaxHttpAnswer;
  limits.total = kHttpLimit;
  auto response =
      co_await parts_.https.post(std::move(*url), "application/tlsrpt+gzip", gzip(report.json), limits);
  if (!response) {
    const bool never = response.error().is(StsError::not_permitted);
    co_return attempt(never ? Attempt::Result::useless : Attempt::Result::again, response.error().text());
  }
  // A redirect is not followed, and no status but 2xx means that anybody has the report.
  if (response->status / 100 == 2) co_return attempt(Attempt::Result::sent);
  co_return attempt(Attempt::Result::again, "HTTP status " + std::to_string(response->status));
}

// Section 5.3.
asio::awaitable<Attempt> Reporter::mail(const ReportProgress& report, ReportTarget target,
                                        SettingsPtr settings) {
  const WallTime now = parts_.clock.wall();
  std::optional<SuppressedAddress> suppressed;
  std::function<Result<void>()> find = [&]() -> Result<void> {
    auto found = parts_.store.suppressed(target.address, now);
    if (!found) return found.error();
    suppressed = std::move(*found);
    return {};
  };
  auto found = co_await on_disk(std::move(find));
  if (!found) co_return attempt(Attempt::Result::again, found.error().text());
  if (suppressed)
    co_return attempt(Attempt::Result::useless,
                      "suppressed, since mail to it bounced: " + suppressed->reason);
  co_await check_key(settings);
  if (!key_.missing.empty())
    co_return attempt(Attempt::Result::hold, "mail waits for its signing key: " + key_.missing);

  auto stored = report_from_json(report.json, report.day, report.domain);
  if (!stored) co_return attempt(Attempt::Result::useless, stored.error().text());
  auto to = Mailbox::parse(target.address);
  if (!to) co_return attempt(Attempt::Result::useless, to.error().text());
  auto from = Mailbox::parse(stored->contact);
  if (!from) co_return attempt(Attempt::Result::useless, "contact: " + from.error().text());

  Envelope envelope;
  envelope.origin = kReportOrigin;
  envelope.idempotency_key = mail_key(report.report_id, target);
  envelope.reverse_path = std::move(*from);
  EnvelopeRecipient recipient;
  recipient.address = std::move(*to);
  recipient.dsn.notify = kNotifyNever;  // its end is told to us; no person needs to read of it
  envelope.recipients.push_back(std::move(recipient));
  envelope.tls.tls_required_no = true;
  envelope.may_say_tls_required_no = true;
  envelope.counts_in_tlsrpt = false;  // or reports breed reports
  envelope.signing_domain = submitter_of(stored->contact);
  envelope.expires = now + std::max<Millis>(settings->tlsrpt.retry_for, kShortestLife);
  StringBody body(report_mail(*stored, gzip(report.json), target.address, now));
  auto accepted = co_await parts_.sink.accept(std::move(envelope), body);
  if (!accepted) co_return attempt(Attempt::Result::again, accepted.error().text());
  if (!accepted->id) co_return attempt(Attempt::Result::again, joined(accepted->refusal));
  Attempt made = attempt(Attempt::Result::queued, queued_reason(*accepted->id));
  co_return made;
}

void Reporter::tell(const ReportProgress& report, const TargetProgress& target) const {
  Fields fields;
  fields.add("domain", report.domain.text());
  fields.add("day", std::string_view(report.report_id).substr(0, 8));
  fields.add("report_id", report.report_id).add("method", method(target.target));
  if (target.target.kind == ReportTarget::Kind::mailto) {
    fields.add_address("to", target.target.address);
  } else {
    fields.add("url", target.target.address);
  }
  if (target.state != TargetState::waiting) {
    const bool gone = target.state != TargetState::given_up;
    fields.add("state", name(target.state));
    parts_.metrics
        .counter("tlsrpt_reports_total",
                 {{"method", method(target.target)}, {"result", gone ? "sent" : "given_up"}})
        .add();
    if (gone) return parts_.log.event("tlsrpt_sent", fields);
    return parts_.log.warning("a TLS report was given up", fields.add("reason", target.reason));
  }
  parts_.log.info("a TLS report could not be sent yet",
                  fields.add("attempts", target.attempts).add("reason", target.reason));
}

asio::awaitable<void> Reporter::check_key(SettingsPtr settings) {
  const WallTime now = parts_.clock.wall();
  if (now >= key_.checked && now - key_.checked < kCheckKeyEvery) co_return;
  KeyRecord record;
  std::function<Result<void>()> read = [&]() -> Result<void> {
    auto made = parts_.key.record(*settings);
    if (!made) return made.error();
    record = std::move(*made);
    return {};
  };
  auto done = co_await on_disk(std::move(read));
  if (!done) {
    key_.missing = done.error().text();
  } else {
    if (record.value != key_.record.value) {
      parts_.log.info("TLS reports by mail are signed with this key; its DNS record",
                      Fields().add("name", record.name).add("txt", record.value));
    }
    key_.record = record;
    const bool was_found = key_.missing.empty();
    std::string missing = co_await why_key_is_not_found(parts_.resolver, record);
    if (missing.empty() && !was_found) parts_.log.info("the key of TLS reports is in DNS");
    key_.missing = std::move(missing);
  }
  key_.checked = now;  // only now: who asks meanwhile waits for the same answer
  if (key_.missing.empty()) {
    key_.warned = {};
  } else if (key_.warned == WallTime() || now - key_.warned >= kWarnOfKeyEvery) {
    key_.warned = now;
    parts_.log.warning("TLS reports by mail wait until their signing key is found in DNS",
                       Fields().add("why", key_.missing).add("publish", key_.record.zone_line));
  }
}

asio::awaitable<Result<void>> Reporter::clean_up() {
  const WallTime now = parts_.clock.wall();
  if (cleaned_ && now >= *cleaned_ && now - *cleaned_ < kCleanEvery) co_return Result<void>();
  while (!tasks_.stopping()) {
    std::vector<LedgerDay> days;
    std::function<Result<void>()> find = [&]() -> Result<void> {
      auto found = parts_.store.erasable(now - kKeepSessions, kRound);
      if (!found) return found.error();
      days = std::move(*found);
      return {};
    };
    auto found = co_await on_disk(std::move(find));
    if (!found) co_return found;
    if (days.empty()) break;
    auto erased = co_await parts_.ledger.erase(days);
    if (!erased) co_return erased;
    std::function<Result<void>()> note = [this, &days] { return parts_.store.note_erased(days); };
    auto noted = co_await on_disk(std::move(note));
    if (!noted) co_return noted;
  }
  std::function<Result<void>()> forget = [this, now] { return parts_.store.forget(now - kKeepReports, now); };
  auto forgotten = co_await on_disk(std::move(forget));
  if (forgotten) cleaned_ = now;
  co_return forgotten;
}

asio::awaitable<Result<std::size_t>> Reporter::send(std::chrono::sys_days day) {
  const WallTime now = parts_.clock.wall();
  if (std::chrono::floor<std::chrono::days>(now) <= day)
    co_return Error(BaseError::not_permitted, "the day is not over; tlsrpt preview shows it as it stands");
  key_.checked = {};
  auto frozen = co_await freeze_past_days(true);
  if (!frozen) co_return frozen.error();
  std::size_t count = 0;
  std::function<Result<void>()> hurry = [&]() -> Result<void> {
    auto hurried = parts_.store.hurry(day, now);
    if (!hurried) return hurried.error();
    count = *hurried;
    return {};
  };
  auto hurried = co_await on_disk(std::move(hurry));
  if (!hurried) co_return hurried.error();
  tasks_.spawn(look());
  co_return count;
}

}  // namespace holdfast
