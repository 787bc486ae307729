// tests/simulation/life.h — one life of the relay: all of its parts as mta/relay.cc puts them together, on
// one executor, from what the disk holds until it is stopped or dies.
//
// Real: submission sessions, intake, SqliteStore, scheduler, deliverers, client sessions and TLS, DNS cache,
// planner, policy service with its fetcher, HTTPS client and cache, ledger, reporter, signer, operator's
// hand. Not real: sockets, the resolver's servers, the password check, the admin interface, and what gates.h
// and taps.h put in between.
#pragma once

#include <filesystem>

#include "config/published_settings.h"
#include "mta/queued_report_mail.h"
#include "mta/report_signing_key.h"
#include "queue/deliverer.h"
#include "queue/dkim_signer.h"
#include "queue/intake.h"
#include "queue/operator_change.h"
#include "queue/scheduler.h"
#include "queue/sqlite_store.h"
#include "smtp/dns/caching_resolver.h"
#include "smtp/server/submission_session.h"
#include "sts/policy_cache.h"
#include "sts/policy_service.h"
#include "tests/fakes/capture.h"
#include "tests/simulation/taps.h"
#include "tlsrpt/report_ends.h"
#include "tlsrpt/reporter.h"

namespace holdfast::simulation {

class Users final : public Authenticator {
 public:
  asio::awaitable<AuthResult> verify_password(std::string user, Secret password, IpBytes) override;
  asio::awaitable<std::optional<Identity>> identity_of(std::string user) override;
  asio::awaitable<Standing> standing_of(std::string user) override;
  asio::awaitable<ScramOffer> offer_scram(std::string user, IpBytes) override;
  asio::awaitable<AuthResult> conclude_scram(std::string user, bool proved, IpBytes) override;
};

class ShownCertificate final : public ServerTls {
 public:
  std::shared_ptr<const TlsServerContext> current() const override;
};

class Life {
 public:
  // `directory` is the disk. The world and `heard` outlive it.
  Life(World& world, Heard& heard, Settings settings, std::filesystem::path directory, Plant plant);
  ~Life();  // after crash() or stop()

  void start();
  // A client's end of a connection to us.
  std::unique_ptr<Stream> dial(ListenerMode mode);
  // From this moment on nothing reaches disk, network or log; then all of it is taken down.
  void crash();
  void stop();
  void reload(Settings settings);

  // What the operator does to one recipient chance picks.
  std::string change(OperatorChange::What what);
  void pause(const std::string& destination, bool pause);
  std::vector<QueueRow> rows(bool remembered);
  // Invariants that memory shows at rest.
  void check_at_rest();

  GatedStore& store() { return *store_; }
  std::size_t in_hand() const { return scheduler_->in_hand(); }
  const Settings& settings() const { return *settings_.current(); }

 private:
  void take_down(Duration grace);

  World& world_;
  Heard& heard_;
  Plant plant_;
  Power power_;
  PublishedSettings settings_;
  Timeline timeline_;
  Dice random_;
  SimLog log_;
  CapturingMetrics metrics_;
  CachingResolver resolver_, delivery_resolver_;
  std::unique_ptr<HttpsClient> https_;
  std::unique_ptr<PolicyFetcher> fetcher_;
  std::unique_ptr<PolicyCache> real_cache_;
  std::unique_ptr<GatedPolicyCache> cache_;
  std::unique_ptr<PolicyService> policies_;
  std::unique_ptr<LedgerStore> real_ledger_store_;
  std::unique_ptr<GatedLedgerStore> ledger_store_;
  std::unique_ptr<DurableLedger> ledger_;
  std::unique_ptr<TapLedger> tap_;
  std::unique_ptr<ReporterStore> real_report_store_;
  std::unique_ptr<GatedReporterStore> report_store_;
  std::unique_ptr<ReportEnds> report_ends_;
  DkimSigner signer_;
  std::unique_ptr<SqliteStore> real_store_;
  std::unique_ptr<GatedStore> store_;
  ConnectionBudget budget_;
  std::unique_ptr<Scheduler> scheduler_;
  std::unique_ptr<TlsPlanner> planner_;
  std::vector<std::unique_ptr<Deliverer>> deliverers_;
  Users users_;
  ShownCertificate certificate_;
  VolumeWatch volumes_;
  std::unique_ptr<Intake> intake_;
  std::unique_ptr<QueuedReportMail> queued_reports_;
  ReportSigningKey report_key_;
  std::unique_ptr<Reporter> reporter_;
  std::unique_ptr<OperatorHand> hand_;
  unsigned sessions_ = 0;
};

}  // namespace holdfast::simulation
