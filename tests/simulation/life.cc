#include "tests/simulation/life.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/strand.hpp>
#include <stdexcept>

#include "tests/fakes/run.h"
#include "tests/fakes/scripted_stream.h"

namespace holdfast::simulation {
namespace {

template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().text());
  return std::move(*result);
}

}  // namespace

asio::awaitable<AuthResult> Users::verify_password(std::string user, Secret password, IpBytes) {
  AuthResult result;
  if (user == "app" && password.text() == "secret") {
    result.verdict = AuthVerdict::accepted;
    result.identity = co_await identity_of(user);
  }
  co_return result;
}

asio::awaitable<std::optional<Identity>> Users::identity_of(std::string user) {
  Identity identity;
  identity.user = user;
  identity.senders = {"@origin.example"};
  identity.messages = Rate{100000, std::chrono::hours(1)};
  co_return identity;
}

asio::awaitable<Standing> Users::standing_of(std::string) { co_return Standing::good; }

asio::awaitable<ScramOffer> Users::offer_scram(std::string, IpBytes) {
  ScramOffer offer;
  offer.verdict = AuthVerdict::unavailable;
  co_return offer;
}

asio::awaitable<AuthResult> Users::conclude_scram(std::string, bool, IpBytes) { co_return AuthResult(); }

std::shared_ptr<const TlsServerContext> ShownCertificate::current() const {
  return identity_of("relay.example", Shown::good).context;
}

Life::Life(World& world, Heard& heard, Settings settings, std::filesystem::path directory, Plant plant)
    : world_(world),
      heard_(heard),
      plant_(plant),
      settings_(std::make_shared<const Settings>(std::move(settings))),
      timeline_(world.clock),
      random_(world.dice.next()),
      log_(world, heard, power_),
      resolver_(world.dns, world.clock),
      delivery_resolver_(world.dns, world.clock),
      volumes_(world.clock.now()) {
  const Executor executor = world.context.get_executor();
  Clock& clock = world.clock;
  const auto now = settings_.current();
  ++world.stage.life;
  world.network.up = true;
  world.network.per_host_limit = now->delivery.connections_per_mx;
  world.network.total_limit = now->delivery.connections_total;

  const auto contexts = [] { return trusted_roots(); };
  https_ = make_https_client(resolver_, world.network, clock, contexts);
  fetcher_ = make_policy_fetcher(*https_, settings_);
  real_cache_ = must(open_policy_cache(directory / "sts.db", log_));
  cache_ = std::make_unique<GatedPolicyCache>(*real_cache_, power_, plant);
  PolicyService::Parts policies{executor,  executor, clock,     random_, resolver_,
                                *fetcher_, *cache_,  settings_, log_,    metrics_};
  policies_ = std::make_unique<PolicyService>(std::move(policies));
  if (auto loaded = policies_->load(); !loaded) throw std::runtime_error(loaded.error().text());

  real_ledger_store_ = must(open_ledger_store(directory / "tlsrpt.db", now->hostname));
  ledger_store_ = std::make_unique<GatedLedgerStore>(*real_ledger_store_, power_);
  ledger_ = std::make_unique<DurableLedger>(*ledger_store_, executor, executor, clock, log_);
  tap_ = std::make_unique<TapLedger>(*ledger_, world, heard, power_, plant);
  real_report_store_ = must(open_reporter_store(directory / "tlsrpt.db", now->hostname));
  report_store_ = std::make_unique<GatedReporterStore>(*real_report_store_, power_);
  report_ends_ = std::make_unique<ReportEnds>(*report_store_, executor, clock, log_, metrics_);

  SqliteStoreOptions options = SqliteStoreOptions::from(*now);
  options.data_dir = directory;
  options.first_token = world.dice.next() >> 1 | 1;
  real_store_ = must(SqliteStore::open(options, clock, log_, metrics_));
  store_ = std::make_unique<GatedStore>(*real_store_, *real_store_, world, power_, plant);

  Scheduler::Parts scheduling{executor, clock,     timeline_,     random_, log_,
                              *store_,  settings_, now->hostname, 64};
  scheduler_ = std::make_unique<Scheduler>(std::move(scheduling));
  planner_ = std::make_unique<PlantedPlanner>(
      make_tls_planner(*policies_, delivery_resolver_, log_, metrics_), plant);
  for (int i = 0; i < 2; ++i) {
    DeliveryContext of{executor,  clock,
                       timeline_, random_,
                       log_,      metrics_,
                       *store_,   delivery_resolver_,
                       *planner_, world.network,
                       contexts,  *tap_,
                       budget_,   report_ends_.get(),
                       &signer_};
    deliverers_.push_back(std::make_unique<Deliverer>(std::move(of), *scheduler_));
    scheduler_->add_agent(*deliverers_.back());
  }
  intake_ = std::make_unique<Intake>(
      Intake::Parts{*store_, *scheduler_, settings_, clock, timeline_, random_, log_, metrics_, &signer_});
  queued_reports_ = std::make_unique<QueuedReportMail>(*store_);
  Reporter::Parts reporting{executor,    executor,  clock,    *ledger_,         *report_store_,
                            resolver_,   *https_,   *intake_, *queued_reports_, *report_ends_,
                            report_key_, settings_, log_,     metrics_};
  reporter_ = std::make_unique<Reporter>(std::move(reporting));
  hand_ = std::make_unique<OperatorHand>(OperatorHand::Parts{*store_, *scheduler_, settings_, timeline_,
                                                             random_, log_, &signer_, report_ends_.get()});
}

// The threads of the store end before the context to which they may still be posting (tests/fakes/run.h).
Life::~Life() { real_store_.reset(); }

void Life::start() {
  world_.seen.lives.emplace_back(
      world_.clock.now(), world_.clock.wall().time_since_epoch() - world_.clock.now().time_since_epoch());
  world_.trace.add("life", "begins " + std::to_string(world_.stage.life));
  policies_->start();
  ledger_->start();
  scheduler_->start();
  reporter_->start();
}

std::unique_ptr<Stream> Life::dial(ListenerMode mode) {
  StreamPair pair = make_stream_pair(world_.context.get_executor(), world_.clock);
  ListenerSettings listener;
  listener.bind = *HostPort::parse("[::]:587", 587);
  listener.mode = mode;
  listener.idle_timeout = std::chrono::minutes(5);
  listener.min_rate = 100;
  const SessionServices services{*intake_, users_,       certificate_, world_.clock, log_,
                                 metrics_, store_.get(), nullptr,      &volumes_};
  auto session = std::make_shared<SubmissionSession>(world_.network.attach(std::move(pair.server), nullptr),
                                                     settings_.current(), listener, services);
  ++sessions_;
  asio::co_spawn(world_.context, session->run(), [this, session](std::exception_ptr exception) {
    --sessions_;
    if (exception) std::rethrow_exception(exception);
  });
  return std::move(pair.client);
}

void Life::take_down(Duration grace) {
  run(world_.context, world_.clock, scheduler_->stop(grace));
  run(world_.context, world_.clock, reporter_->stop());
  run(world_.context, world_.clock, policies_->stop());
  run(world_.context, world_.clock, ledger_->stop());
  while (sessions_ > 0) {
    world_.settle();
    if (sessions_ > 0 && !world_.clock.advance_to_next()) throw std::logic_error("a session never ends");
  }
  world_.settle();
}

void Life::crash() {
  world_.trace.add("crash");
  world_.seen.ends.push_back(world_.clock.now());
  tap_->crashed();
  world_.seen.crashes.emplace_back(world_.clock.now(), world_.stage.life);
  power_.on = false;
  world_.network.cut_all();
  take_down(Duration::zero());
}

void Life::stop() {
  world_.trace.add("stop");
  world_.seen.ends.push_back(world_.clock.now());
  take_down(std::chrono::seconds(25));
  check_at_rest();
  power_.on = false;
  world_.network.cut_all();
  world_.settle();
}

void Life::reload(Settings settings) {
  settings_.publish(std::make_shared<const Settings>(std::move(settings)));
  scheduler_->look_again();
  world_.trace.add("operator", "reload");
}

std::vector<QueueRow> Life::rows(bool remembered) {
  QueueFilter filter;
  filter.remembered = remembered;
  filter.limit = 1'000'000;
  return run(world_.context, world_.clock, store_->list(filter)).value();
}

std::string Life::change(OperatorChange::What what) {
  auto candidates = OperatorHand::concerned(what, rows(false));
  std::erase_if(candidates,
                [](const QueueRow& row) { return row.meta->is_bounce || row.meta->origin != "submission"; });
  if (candidates.empty()) return "";
  std::vector<QueueRow> one{world_.dice.one_of(candidates)};
  const std::string to = one.front().to;
  auto changed = run(world_.context, world_.clock, hand_->apply(what, std::move(one), ""));
  const bool done = changed && changed->changed > 0;
  world_.trace.add("operator", std::to_string(static_cast<int>(what)) + " " + to + (done ? "" : " in vain"));
  return done ? to : "";
}

void Life::pause(const std::string& destination, bool pause) {
  world_.trace.add("operator", (pause ? "pause " : "resume ") + destination);
  run(world_.context, world_.clock, pause ? scheduler_->pause(destination) : scheduler_->resume(destination));
}

void Life::check_at_rest() {
  if (scheduler_->in_hand() != 0)
    world_.seen.fail("at rest " + std::to_string(scheduler_->in_hand()) + " recipients are in hand");
  if (budget_.open_in_all() != 0)
    world_.seen.fail("at rest " + std::to_string(budget_.open_in_all()) + " connections are counted as open");
  if (world_.network.open != 0)
    world_.seen.fail("at rest " + std::to_string(world_.network.open) + " connections are open");
}

}  // namespace holdfast::simulation
