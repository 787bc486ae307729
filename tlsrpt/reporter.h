// tlsrpt/reporter.h — sends the daily reports. RFC 8460 sections 3 and 5; the states are in reporter_state.h.
//
// Procedure, every few seconds: when a UTC day is over, close it in the ledger and freeze its reports; work
// on those whose time has come: look the targets up (DNS failures are tried again), build the text, POST it
// or give it to the queue as a signed mail, to its targets beside each other; write down each step before the
// next. A day's sessions are erased from the ledger a few days after its report was sent or given up.
//
// In four files: the rounds (reporter.cc), one report from state to state (…_process.cc), one target tried
// (…_attempt.cc), what operators are told (…_status.cc).
//
// Mail waits, loudly, until its signing key is found in DNS. Nothing here can fail a delivery (invariant 40).
#pragma once

#include <deque>
#include <set>
#include <utility>

#include "config/settings_source.h"
#include "smtp/base/log.h"
#include "smtp/base/metrics.h"
#include "smtp/base/notifier.h"
#include "smtp/base/task_group.h"
#include "smtp/message_sink.h"
#include "sts/https_client.h"
#include "tlsrpt/queued_mail.h"
#include "tlsrpt/report_key.h"
#include "tlsrpt/reporter_store.h"

namespace holdfast {

class Reporter {
 public:
  // All outlive it. `executor` is that of resolver and https; `disk` runs one job at a time, the store's.
  struct Parts {
    Executor executor;
    Executor disk;
    Clock& clock;
    DurableLedger& ledger;
    ReporterStore& store;
    Resolver& resolver;
    HttpsClient& https;
    MessageSink& sink;
    QueuedMail& queued;
    OriginObserver& ends;
    ReportKey& key;
    const SettingsSource& settings;
    Log& log;
    Metrics& metrics;
  };
  explicit Reporter(Parts parts);
  ~Reporter();  // after stop() has returned

  void start();                  // on any thread
  asio::awaitable<void> stop();  // on any executor

  // Makes the reports of a day that is over leave now instead of by their schedule; how many there are to
  // send. BaseError::not_permitted while the day lasts. On `executor`.
  asio::awaitable<Result<std::size_t>> send(std::chrono::sys_days day);

  // JSON lines: the key, suppressed addresses, then reports, the newest first; `all` with those that nobody
  // wants. A mail that waits in the queue is told of in the queue's words. On `executor`.
  asio::awaitable<Result<std::string>> status_json(std::optional<std::chrono::sys_days> day, bool all);

  // The reports of a day that are news, with their targets; the status page's part of it. On any executor.
  asio::awaitable<Result<std::vector<ReportProgress>>> reports(std::chrono::sys_days day, std::size_t limit);

  // One round of work, as it happens every few seconds: returns once what was due at its beginning is worked
  // on. Rounds overlap, so that reports that take long delay no others. On `executor`; for tests, too.
  asio::awaitable<void> look();

 private:
  struct Round;
  struct Work;
  struct Posts;
  struct KeyState {
    KeyRecord record;
    std::string missing = "not looked for yet";  // "" = found in DNS
    WallTime checked{};
    WallTime warned{};
  };

  asio::awaitable<void> run();
  asio::awaitable<Result<void>> freeze_past_days(bool at_once);
  asio::awaitable<void> hand_out(std::shared_ptr<Round> round);
  asio::awaitable<void> work_through();
  asio::awaitable<void> keep_up(std::shared_ptr<Round> round);
  asio::awaitable<Result<void>> process(LedgerDay which);
  asio::awaitable<bool> prepare(ReportProgress& report, SettingsPtr settings);
  asio::awaitable<Result<std::string>> build(ReportProgress& report, SettingsPtr settings,
                                             std::vector<ReportTarget> targets);
  asio::awaitable<Result<bool>> try_targets(ReportProgress& report, SettingsPtr settings);
  asio::awaitable<Result<bool>> note(ReportProgress& report, std::size_t index, Attempt made,
                                     SettingsPtr settings);
  asio::awaitable<void> post_beside(std::shared_ptr<Posts> posts, std::size_t index, std::string url,
                                    SettingsPtr settings);
  asio::awaitable<Attempt> post(std::string body, std::string url, SettingsPtr settings);
  asio::awaitable<Attempt> mail(const ReportProgress& report, ReportTarget target, SettingsPtr settings);
  void tell(const ReportProgress& report, const TargetProgress& target) const;
  asio::awaitable<Result<void>> save(const ReportProgress& report, bool release);
  asio::awaitable<void> ask_queue(std::vector<ReportProgress>& reports);
  asio::awaitable<Result<void>> take_up_ends();
  asio::awaitable<void> check_key(SettingsPtr settings);
  asio::awaitable<Result<void>> clean_up();

  // Runs `work` on the disk executor.
  asio::awaitable<Result<void>> on_disk(std::function<Result<void>()> work);

  Parts parts_;
  TaskGroup tasks_;
  KeyState key_;
  std::chrono::sys_days frozen_before_{};
  std::optional<WallTime> cleaned_;
  bool ends_taken_up_ = false;
  bool looking_ = false, again_ = false, keeping_up_ = false;
  std::deque<Work> work_;
  std::set<std::pair<std::chrono::sys_days, DomainName>> busy_;  // in work_, or worked on
  std::size_t workers_ = 0;
  Notifier landed_;      // a report, or a worker
  std::string trouble_;  // of the last round, told once
};

}  // namespace holdfast
