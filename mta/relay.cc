#include "mta/relay.h"

#include <sys/resource.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_future.hpp>
#include <latch>
#include <thread>

#include "mta/admin_json.h"
#include "mta/after_restart.h"
#include "mta/process.h"
#include "smtp/base/base_error.h"
#include "smtp/base/hop.h"

namespace holdfast {

namespace {

constexpr unsigned kBlockingThreads = 2;  // file reads and the like; the store has its own
constexpr auto kProbeResolver = std::chrono::minutes(5);

unsigned worker_threads(const Settings& settings) {
  if (settings.runtime.threads > 0) return settings.runtime.threads;
  return std::max(1u, std::thread::hardware_concurrency());
}

asio::awaitable<Result<void>> replace_resolver(ReplaceableResolver& resolver, DnsServers servers,
                                               Millis timeout) {
  co_return resolver.replace(servers, timeout);
}

asio::awaitable<void> close_resolver(ReplaceableResolver& resolver) {
  resolver.close();
  co_return;
}

// Half of the cores, so that a flood of guesses leaves the other half to mail.
unsigned hashing_threads() { return std::max(1u, std::thread::hardware_concurrency() / 2); }

// And what strangers ask for comes after all other work on those, too. On Linux this sets the calling thread
// alone; each thread of the pool waits in its task until all of them have one.
void put_behind_all_else(asio::thread_pool& pool, unsigned threads) {
  constexpr int kNice = 10;
  auto all = std::make_shared<std::latch>(threads);
  for (unsigned i = 0; i < threads; ++i) {
    asio::post(pool, [all] {
      all->arrive_and_wait();
      ::setpriority(PRIO_PROCESS, 0, kNice);
    });
  }
}

ReloadOutcome refused_reload(const Error& error) { return {{error.text()}, {}}; }

std::vector<std::string> texts(const std::vector<Diagnostic>& diagnostics) {
  std::vector<std::string> out;
  for (const auto& diagnostic : diagnostics) out.push_back(diagnostic.print());
  return out;
}

}  // namespace

Result<std::unique_ptr<Relay>> Relay::build(SettingsPtr settings, std::filesystem::path config_file,
                                            Clock& clock, LogWriter& log) {
  std::unique_ptr<Relay> relay(new Relay(std::move(settings), std::move(config_file), clock, log));
  if (auto opened = relay->open(); !opened) return opened.error();
  return relay;
}

Relay::Relay(SettingsPtr settings, std::filesystem::path config_file, Clock& clock, LogWriter& log)
    : config_file_(std::move(config_file)),
      clock_(clock),
      log_(log),
      settings_(settings),
      timeline_(clock),
      random_(make_system_random()),
      workers_(worker_threads(*settings), kBlockingThreads),
      connector_(clock, [this] { return settings_.current(); }),
      resolver_(workers_.shared(), clock, *random_, metrics_),
      report_disk_(asio::make_strand(workers_.blocking())),
      hashing_(hashing_threads()),
      hashing_of_known_(1),
      volumes_(clock.now()) {}

Relay::~Relay() { workers_.stop(); }

Result<void> Relay::open() {
  const auto settings = settings_.current();
  metrics_.set("build_info", 1, {{"version", HOLDFAST_VERSION}});
  if (auto loaded = roots_.load(settings->trust.ca_file); !loaded) return loaded.error();
  auto certificate = WatchedCertificate::open(settings, clock_, log_, metrics_);
  if (!certificate) return certificate.error();
  certificate_ = std::move(*certificate);

  const auto contexts = [this] { return roots_.current(); };
  https_ = make_https_client(resolver_, connector_, clock_, contexts);
  fetcher_ = make_policy_fetcher(*https_, settings_);
  auto cache = open_policy_cache(settings->data_dir / "sts.db", log_);
  if (!cache) return cache.error();
  policy_cache_ = std::move(*cache);
  PolicyService::Parts policies{workers_.shared(), workers_.blocking(), clock_,    *random_, resolver_,
                                *fetcher_,         *policy_cache_,      settings_, log_,     metrics_};
  policies_ = std::make_unique<PolicyService>(std::move(policies));
  if (auto loaded = policies_->load(); !loaded) return loaded.error();

  auto ledger = open_ledger_store(settings->data_dir / "tlsrpt.db", settings->hostname);
  if (!ledger) return ledger.error();
  ledger_store_ = std::move(*ledger);
  ledger_ =
      std::make_unique<DurableLedger>(*ledger_store_, workers_.shared(), workers_.blocking(), clock_, log_);
  auto reports = open_reporter_store(settings->data_dir / "tlsrpt.db", settings->hostname);
  if (!reports) return reports.error();
  report_store_ = std::move(*reports);
  report_ends_ = std::make_unique<ReportEnds>(*report_store_, report_disk_, clock_, log_, metrics_);

  auto store = SqliteStore::open(SqliteStoreOptions::from(*settings), clock_, log_, metrics_);
  if (!store) return store.error();
  store_ = std::move(*store);

  Scheduler::Parts scheduling{workers_.shared(), clock_,    timeline_,         *random_, log_,
                              *store_,           settings_, settings->hostname};
  scheduler_ = std::make_unique<Scheduler>(std::move(scheduling));
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    auto worker = std::make_unique<Worker>(workers_.worker(i), clock_, *random_, metrics_);
    worker->planner = make_tls_planner(*policies_, worker->resolver, log_, metrics_);
    DeliveryContext context{workers_.worker(i), clock_,   timeline_,        *random_,           log_,
                            metrics_,           *store_,  worker->resolver, *worker->planner,   connector_,
                            contexts,           *ledger_, budget_,          report_ends_.get(), &signer_};
    worker->deliverer = std::make_unique<Deliverer>(std::move(context), *scheduler_);
    scheduler_->add_agent(*worker->deliverer);
    deliveries_.push_back(std::move(worker));
  }
  auto servers = find_dns_servers(settings->dns);
  if (!servers) return servers.error();
  if (auto used = use_resolvers(*servers, settings->dns.timeout); !used) return used.error();
  if (settings->dns.dnssec == DnssecTrust::required) {
    // The operator asked for DANE or nothing: a resolver that does not validate would silently mean nothing.
    if (!asio::co_spawn(workers_.shared(), validates_dnssec(resolver_), asio::use_future).get()) {
      return Error(
          BaseError::not_permitted,
          "dns.dnssec is \"required\", but the resolvers did not validate the root's SOA; use validating "
          "ones, or another dns.dnssec");
    }
  }

  put_behind_all_else(hashing_, hashing_threads());
  AuthPools pools{workers_.blocking(), hashing_.get_executor(), hashing_of_known_.get_executor()};
  authenticator_ = std::make_unique<PasswordAuthenticator>(settings, std::move(pools), clock_, log_);
  intake_ = std::make_unique<Intake>(
      Intake::Parts{*store_, *scheduler_, settings_, clock_, timeline_, *random_, log_, metrics_, &signer_});
  queued_reports_ = std::make_unique<QueuedReportMail>(*store_);
  Reporter::Parts reporting{workers_.shared(), report_disk_, clock_,   *ledger_,         *report_store_,
                            resolver_,         *https_,      *intake_, *queued_reports_, *report_ends_,
                            report_key_,       settings_,    log_,     metrics_};
  reporter_ = std::make_unique<Reporter>(std::move(reporting));
  tasks_ = std::make_unique<TaskGroup>(workers_.shared(), [this](std::string what) {
    log_.error("an exception ended a task of the relay: " + what);
  });
  AdminApi::Parts api{*this,
                      *store_,
                      *scheduler_,
                      *policies_,
                      *ledger_,
                      *reporter_,
                      resolver_,
                      settings_,
                      clock_,
                      timeline_,
                      workers_.blocking(),
                      log_,
                      *intake_,
                      *random_,
                      &signer_,
                      report_ends_.get()};
  api_ = std::make_unique<AdminApi>(std::move(api));
  StatusSite::Parts site{*this, *store_, *scheduler_, *policies_, *reporter_, settings_, timeline_};
  site_ = std::make_unique<StatusSite>(std::move(site));
  admin_ = std::make_unique<AdminHttp>(workers_.shared(), clock_, log_, [this](AdminRequest request) {
    if (request.method == "GET" && StatusSite::is_mine(request.path))
      return site_->answer(std::move(request));
    return api_->handle(std::move(request));
  });
  return open_listeners();
}

Result<void> Relay::open_listeners() {
  const auto settings = settings_.current();
  for (const auto& listener : settings->listeners) {
    SessionServices services{*intake_, *authenticator_, *certificate_, clock_,   log_,
                             metrics_, store_.get(),    nullptr,       &volumes_};
    auto opened = SubmissionListener::open(listener, settings_, services, workers_);
    if (!opened) return opened.error();
    listeners_.push_back(std::move(*opened));
  }
  return {};
}

// Before start() the resolvers are nobody's yet; afterwards each is replaced on its own executor.
Result<void> Relay::use_resolvers(const DnsServers& servers, Millis timeout) {
  std::vector<ReplaceableResolver*> all{&resolver_};
  for (auto& worker : deliveries_) all.push_back(&worker->resolver);
  for (auto* resolver : all) {
    if (!started_) {
      if (auto replaced = resolver->replace(servers, timeout); !replaced) return replaced.error();
      continue;
    }
    asio::co_spawn(resolver->executor(), replace_resolver(*resolver, servers, timeout),
                   [this](std::exception_ptr, Result<void> replaced) {
                     if (!replaced)
                       log_.error("dns: the resolver stays as it was: " + replaced.error().text());
                   });
  }
  return {};
}

Result<void> Relay::start() {
  const auto settings = settings_.current();
  started_ = true;
  started_at_ = timeline_.now();
  policies_->start();
  ledger_->start();
  scheduler_->start();
  reporter_->start();
  asio::post(workers_.shared(), [this] {
    tasks_->spawn(certificate_->watch());
    tasks_->spawn(watch_resolver());
    tasks_->spawn(watch_state());
  });
  if (auto bound = admin_->listen_unix(settings->admin.socket); !bound) return bound.error();
  if (settings->admin.http) {
    if (auto bound = admin_->listen_tcp(*settings->admin.http, settings->admin.token); !bound)
      return bound.error();
  }
  for (auto& listener : listeners_) listener->start();
  accepting_ = true;
  return {};
}

// Says loudly when the resolver does not validate: DANE is blind then.
asio::awaitable<void> Relay::watch_resolver() {
  bool told = false;
  while (true) {
    const auto trust = settings_.current()->dns.dnssec;
    const bool validating = co_await validates_dnssec(resolver_);
    validating_ = validating;
    metrics_.set("dnssec_validating", validating ? 1 : 0);
    if (!validating && !told && trust != DnssecTrust::off) {
      log_.warning(
          "the resolver was not seen to validate DNSSEC: without it, DANE cannot protect anything",
          Fields().add("remedy",
                       trust == DnssecTrust::automatic
                           ? "use a validating resolver on loopback, or set dns.dnssec"
                           : "let the resolver validate; `dig +dnssec . SOA` must show the flag ad"));
    }
    told = !validating;
    const bool awake = co_await sleep_for(clock_, kProbeResolver);
    if (!awake) co_return;
  }
}

asio::awaitable<void> Relay::stop_tasks() {
  tasks_->stop();
  co_await tasks_->drained();
}

asio::awaitable<void> Relay::stop() {
  const Duration grace = settings_.current()->shutdown.grace;
  accepting_ = false;
  for (auto& listener : listeners_) co_await listener->stop_accepting();
  // At once, so that no session takes their time from deliveries: one that is cut off between the final dot
  // and its reply is a message sent twice. What the last sessions hand in waits for the next start.
  TaskGroup draining(co_await asio::this_coro::executor, [this](std::string what) {
    log_.error("an exception ended a part of the stop: " + what);
  });
  for (auto& listener : listeners_) draining.spawn(listener->stop(grace));
  if (started_) draining.spawn(scheduler_->stop(grace));
  co_await draining.drained();
  if (started_) co_await reporter_->stop();
  auto stopping_tasks = stop_tasks();
  co_await hop(workers_.shared(), std::move(stopping_tasks));
  auto stopping_admin = admin_->stop();
  co_await hop(workers_.shared(), std::move(stopping_admin));
  if (started_) {
    co_await policies_->stop();
    co_await ledger_->stop();
  }
  for (auto& worker : deliveries_) {
    auto closing = close_resolver(worker->resolver);
    co_await hop(worker->resolver.executor(), std::move(closing));
  }
  auto closing = close_resolver(resolver_);
  co_await hop(workers_.shared(), std::move(closing));
  co_await store_->close();
}

ReloadOutcome Relay::reload() {
  const std::lock_guard lock(reloading_);
  LoadInput input;
  input.file = config_file_;
  input.environment = holdfast_environment();
  input.today = std::chrono::floor<std::chrono::days>(clock_.wall());
  input.data_dir = settings_.current()->data_dir;
  const Loaded loaded = load_settings(input);
  for (const auto& warning : loaded.warnings) log_.warning(warning.print());
  auto errors = texts(loaded.errors);
  if (!loaded.settings) {
    for (const auto& error : errors) log_.error("reload: " + error);
    return {std::move(errors), {}};
  }
  HeldSettings held = hold_until_restart(*settings_.current(), *loaded.settings);
  const SettingsPtr settings = std::move(held.settings);
  // Whatever may fail comes before anything is changed.
  const auto servers = find_dns_servers(settings->dns);
  if (!servers) return refused_reload(servers.error());
  if (auto roots = roots_.load(settings->trust.ca_file); !roots) return refused_reload(roots.error());
  if (auto used = use_resolvers(*servers, settings->dns.timeout); !used) return refused_reload(used.error());
  log_.configure(settings->log);
  certificate_->reload(settings);
  authenticator_->reload(settings);
  admin_->use_token(settings->admin.token);
  settings_.publish(settings);
  scheduler_->look_again();
  log_.info("the configuration was reloaded", Fields().add("file", config_file_.string()));
  std::string keys;
  for (const auto& key : held.after_restart) keys += (keys.empty() ? "" : ", ") + key;
  if (!keys.empty())
    log_.warning("keys were changed that hold after a restart only", Fields().add("keys", keys));
  return {{}, std::move(held.after_restart)};
}

}  // namespace holdfast
