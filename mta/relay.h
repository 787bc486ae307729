// mta/relay.h — the running relay: every object, built once, in the order in which they depend on each other.
//
// This is the one place that builds real objects and hands them to each other; members stand in the order of
// construction, and what stands later may use what stands before. Procedure: build() opens the stores and
// loads the certificate (each failure names what to mend), start() begins to deliver and to listen, stop()
// closes all listening sockets, lets sessions and deliveries finish what they have in hand, all within one
// grace, then stops the ledger and the stores.
#pragma once

#include <atomic>
#include <boost/asio/thread_pool.hpp>
#include <filesystem>
#include <memory>
#include <vector>

#include "config/load.h"
#include "config/published_settings.h"
#include "mta/admin_api.h"
#include "mta/log_writer.h"
#include "mta/metrics_registry.h"
#include "mta/page/status_site.h"
#include "mta/queued_report_mail.h"
#include "mta/replaceable_resolver.h"
#include "mta/report_signing_key.h"
#include "mta/trust_roots.h"
#include "queue/connection_budget.h"
#include "queue/deliverer.h"
#include "queue/intake.h"
#include "queue/scheduler.h"
#include "queue/sqlite_store.h"
#include "smtp/base/workers.h"
#include "smtp/client/tcp_connector.h"
#include "smtp/server/password_authenticator.h"
#include "smtp/server/submission_listener.h"
#include "smtp/server/watched_certificate.h"
#include "sts/policy_cache.h"
#include "sts/policy_service.h"
#include "tlsrpt/ledger.h"
#include "tlsrpt/report_ends.h"
#include "tlsrpt/reporter.h"

namespace holdfast {

class Relay final : private ServiceControl, private RelayFactsSource {
 public:
  // `config_file` is read again by a reload. `log` and `clock` outlive the relay.
  static Result<std::unique_ptr<Relay>> build(SettingsPtr settings, std::filesystem::path config_file,
                                              Clock& clock, LogWriter& log);
  ~Relay() override;  // after stop()

  // On an error what was started is stopped by stop().
  Result<void> start();
  asio::awaitable<void> stop();

  // The errors each name file, line and key. On any thread.
  ReloadOutcome reload() override;

  // A sync of the queue failed: nothing more is acknowledged, and the process must end.
  bool store_failed() const { return store_->failed(); }
  Executor shared() const { return workers_.shared(); }

 private:
  // What one worker's deliveries use; all of it on that worker.
  struct Worker {
    Worker(Executor executor, Clock& clock, Random& random, Metrics& metrics)
        : resolver(executor, clock, random, metrics) {}
    ReplaceableResolver resolver;
    std::unique_ptr<TlsPlanner> planner;
    std::unique_ptr<Deliverer> deliverer;
  };

  Relay(SettingsPtr settings, std::filesystem::path config_file, Clock& clock, LogWriter& log);
  Result<void> open();
  Result<void> open_listeners();
  Result<void> use_resolvers(const DnsServers& servers, Millis timeout);
  asio::awaitable<void> watch_resolver();
  asio::awaitable<void> stop_tasks();

  // ServiceControl
  asio::awaitable<std::vector<std::string>> not_ready() override;
  asio::awaitable<std::string> metrics_text() override;
  asio::awaitable<std::string> status_json() override;
  // RelayFactsSource
  RelayFacts facts() override;
  asio::awaitable<void> watch_state();  // keeps what the status page shows of the last hour
  void note_traffic();
  std::vector<std::string> faults() const;  // why we are not ready, as far as memory tells
  asio::awaitable<std::string> resolver_fault();
  void update_queue_metrics(const StoreStats& stats);

  std::filesystem::path config_file_;
  Clock& clock_;
  LogWriter& log_;
  PublishedSettings settings_;
  Timeline timeline_;
  std::unique_ptr<Random> random_;
  MetricsRegistry metrics_;
  TrustRoots roots_;
  std::unique_ptr<WatchedCertificate> certificate_;
  Workers workers_;
  TcpConnector connector_;
  ReplaceableResolver resolver_;  // of the shared executor
  std::unique_ptr<HttpsClient> https_;
  std::unique_ptr<PolicyFetcher> fetcher_;
  std::unique_ptr<PolicyCache> policy_cache_;
  std::unique_ptr<PolicyService> policies_;
  std::unique_ptr<LedgerStore> ledger_store_;
  std::unique_ptr<DurableLedger> ledger_;
  Executor report_disk_;  // a strand on the blocking threads: the reporter's database
  std::unique_ptr<ReporterStore> report_store_;
  std::unique_ptr<ReportEnds> report_ends_;
  DkimSigner signer_;
  std::unique_ptr<SqliteStore> store_;
  ConnectionBudget budget_;
  std::unique_ptr<Scheduler> scheduler_;
  std::vector<std::unique_ptr<Worker>> deliveries_;
  asio::thread_pool hashing_, hashing_of_known_;  // of passwords, and of nothing that mail waits for
  std::unique_ptr<PasswordAuthenticator> authenticator_;
  VolumeWatch volumes_;
  std::unique_ptr<Intake> intake_;
  std::unique_ptr<QueuedReportMail> queued_reports_;
  ReportSigningKey report_key_;
  std::unique_ptr<Reporter> reporter_;
  std::vector<std::unique_ptr<SubmissionListener>> listeners_;
  std::unique_ptr<AdminApi> api_;
  std::unique_ptr<StatusSite> site_;
  std::unique_ptr<AdminHttp> admin_;
  std::unique_ptr<TaskGroup> tasks_;  // of the shared executor
  // Of the shared executor:
  TrafficHistory traffic_;
  std::string resolver_fault_;  // as it was when last looked for
  WallTime started_at_{};
  std::atomic<bool> accepting_ = false;
  std::atomic<bool> validating_ = false;
  bool started_ = false;
  std::mutex reloading_;
};

}  // namespace holdfast
