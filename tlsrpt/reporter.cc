#include "tlsrpt/reporter.h"

#include <boost/asio/post.hpp>

#include "smtp/base/base_error.h"
#include "smtp/base/hop.h"

namespace holdfast {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

constexpr auto kLook = seconds(5);
constexpr auto kSettle = seconds(60);  // after midnight: what ended in the old day is in the ledger by then
constexpr std::size_t kRound = 500;    // reports per look: bounds memory and what a look can take
constexpr std::size_t kAtATime = 16;
constexpr auto kCleanEvery = hours(1);
constexpr auto kKeepSessions = std::chrono::days(3);  // after the report ended: for preview and questions
constexpr auto kKeepReports = std::chrono::days(14);

asio::awaitable<Result<void>> call(std::function<Result<void>()> work) { co_return work(); }

}  // namespace

struct Reporter::Round {
  std::size_t left = 0;  // reports that are not worked on yet
  std::string trouble;
};
struct Reporter::Work {
  LedgerDay which;
  std::shared_ptr<Round> round;
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
    tasks_.spawn(look());
    awake = co_await sleep_for(parts_.clock, kLook);
  }
}

asio::awaitable<void> Reporter::look() {
  again_ = true;
  if (looking_) co_return;
  looking_ = true;
  auto round = std::make_shared<Round>();
  while (again_ && !tasks_.stopping()) {
    again_ = false;
    co_await hand_out(round);
  }
  looking_ = false;
  while (round->left > 0 && workers_ > 0) co_await landed_.wait_through_cancellation();
  if (!tasks_.stopping()) co_await keep_up(round);
}

// Freezes what is to be frozen, and gives what is due to the workers.
asio::awaitable<void> Reporter::hand_out(std::shared_ptr<Round> round) {
  auto frozen = co_await freeze_past_days(false);
  if (!frozen) round->trouble = frozen.error().text();
  if (busy_.size() >= kRound) co_return;
  std::vector<ReportProgress> due;
  std::function<Result<void>()> find = [&, limit = kRound + busy_.size()]() -> Result<void> {
    auto found = parts_.store.due(parts_.clock.wall(), limit);
    if (!found) return found.error();
    due = std::move(*found);
    return {};
  };
  auto found = co_await on_disk(std::move(find));
  if (!found) round->trouble = found.error().text();
  for (const auto& report : due) {
    if (!busy_.emplace(report.day, report.domain).second) continue;  // due until it is worked on
    work_.push_back({{report.day, report.domain}, round});
    ++round->left;
  }
  for (std::size_t more = std::min(kAtATime - workers_, work_.size()); more > 0; --more) {
    ++workers_;
    if (tasks_.spawn(work_through())) continue;
    --workers_;
    break;
  }
}

asio::awaitable<void> Reporter::keep_up(std::shared_ptr<Round> round) {
  if (!keeping_up_) {
    keeping_up_ = true;
    auto taken_up = co_await take_up_ends();
    if (!taken_up) round->trouble = taken_up.error().text();
    auto cleaned = co_await clean_up();
    if (!cleaned) round->trouble = cleaned.error().text();
    keeping_up_ = false;
  }
  if (!round->trouble.empty() && round->trouble != trouble_ && !tasks_.stopping())
    parts_.log.error("TLS reports wait: " + round->trouble);
  trouble_ = round->trouble;
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

asio::awaitable<void> Reporter::work_through() {
  // However it ends, nobody waits for what is not worked on any more.
  struct Worker {
    Reporter& reporter;
    ~Worker() {
      --reporter.workers_;
      reporter.landed_.notify();
    }
  };
  struct Landing {
    Reporter& reporter;
    const Work& work;
    ~Landing() {
      reporter.busy_.erase({work.which.day, work.which.domain});
      --work.round->left;
      reporter.landed_.notify();
    }
  };
  const Worker worker{*this};
  while (!work_.empty() && !tasks_.stopping()) {
    const Work work = std::move(work_.front());
    work_.pop_front();
    const Landing landing{*this, work};
    auto processed = co_await process(work.which);
    if (!processed) work.round->trouble = processed.error().text();
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
