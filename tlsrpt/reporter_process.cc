// The part of the Reporter that takes one report through its states: leased, its targets looked up, its text
// built, each target tried, each step saved before the next.
#include "tlsrpt/gzip.h"
#include "tlsrpt/report_bound.h"
#include "tlsrpt/reporter.h"

namespace holdfast {
namespace {

using std::chrono::minutes;

constexpr auto kLease =
    minutes(15);  // more than the slowest report: a look-up, then a minute for its targets

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

}  // namespace

// The POSTs of one report, which is their parent's alone to read and write.
struct Reporter::Posts {
  std::string body;
  std::deque<std::pair<std::size_t, Attempt>> made;  // (target, what became of it), not noted yet
  std::size_t under_way = 0;
  Notifier landed;
};

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
  auto all_tried = co_await try_targets(*report, settings);
  if (!all_tried) co_return all_tried.error();
  if (!*all_tried) co_return Result<void>();
  co_return co_await save(*report, true);
}

// Posts go out beside each other and beside the mails: a target that hangs costs its report the time of one
// POST, and the other targets nothing. What became of each is noted as it comes. False when told to stop
// before something was known.
asio::awaitable<Result<bool>> Reporter::try_targets(ReportProgress& report, SettingsPtr settings) {
  auto posts = std::make_shared<Posts>();
  std::vector<std::size_t> mails;
  for (std::size_t i = 0; i < report.targets.size(); ++i) {
    const TargetProgress& target = report.targets[i];
    if (target.state != TargetState::waiting || !is_due(target.next, parts_.clock.wall())) continue;
    if (target.target.kind == ReportTarget::Kind::mailto) {
      mails.push_back(i);
      continue;
    }
    if (posts->body.empty()) posts->body = gzip(report.json);
    ++posts->under_way;
    if (!tasks_.spawn(post_beside(posts, i, target.target.address, settings))) --posts->under_way;
  }
  bool all = !tasks_.stopping();
  std::optional<Error> failure;
  for (const std::size_t index : mails) {
    Attempt made = co_await mail(report, report.targets[index].target, settings);
    auto noted = co_await note(report, index, std::move(made), settings);
    if (!noted) failure = noted.error();
    all = all && noted && *noted;
    if (!all) break;  // but what is posted is noted, if it can be
  }
  while (posts->under_way > 0 || !posts->made.empty()) {
    if (posts->made.empty()) {
      co_await posts->landed.wait_through_cancellation();
      continue;
    }
    auto [index, made] = std::move(posts->made.front());
    posts->made.pop_front();
    auto noted = co_await note(report, index, std::move(made), settings);
    if (!noted) failure = noted.error();
    all = all && noted && *noted;
  }
  if (failure) co_return *failure;
  co_return all;
}

asio::awaitable<void> Reporter::post_beside(std::shared_ptr<Posts> posts, std::size_t index, std::string url,
                                            SettingsPtr settings) {
  struct Landing {
    Posts& posts;
    ~Landing() {
      --posts.under_way;
      posts.landed.notify();
    }
  };
  const Landing landing{*posts};
  Attempt made = co_await post(posts->body, std::move(url), std::move(settings));
  posts->made.emplace_back(index, std::move(made));
}

// Writes down what became of a target; false when that is only that we were told to stop.
asio::awaitable<Result<bool>> Reporter::note(ReportProgress& report, std::size_t index, Attempt made,
                                             SettingsPtr settings) {
  if (tasks_.stopping() && made.result == Attempt::Result::again) co_return false;
  tried(report, index, made, parts_.clock.wall(), settings->tlsrpt.retry_for);
  auto saved = co_await save(report, false);
  if (!saved) co_return saved.error();
  tell(report, report.targets[index]);
  co_return true;
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

}  // namespace holdfast
