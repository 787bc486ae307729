#include "mta/standalone.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/this_coro.hpp>

#include "sts/policy_cache.h"

namespace holdfast {
namespace {

SettingsPtr impatient(const SettingsPtr& settings) {
  auto own = std::make_shared<Settings>(*settings);
  own->sts.fetch_timeout = std::min(own->sts.fetch_timeout, Standalone::kLongestFetch);
  return own;
}

asio::awaitable<void> to_the_end(asio::awaitable<void> job, PolicyService& policies) {
  co_await asio::this_coro::throw_if_cancelled(false);
  co_await std::move(job);
  co_await policies.stop();
}

}  // namespace

struct Standalone::Loop {
  asio::io_context context{1};
};

// What the parts would log is in the answers that they give to the command.
class Standalone::Silence final : public Log {
 public:
  bool enabled(LogLevel) const override { return false; }
  void event(std::string_view, const Fields&) override {}
  void write(LogLevel, std::string_view, const Fields&) override {}
};

// The relay's cached policies as they were; what is learned here stays here.
class Standalone::CopiedCache final : public PolicyCache {
 public:
  explicit CopiedCache(std::vector<CachedPolicy> rows) : rows_(std::move(rows)) {}
  Result<std::vector<CachedPolicy>> load() override { return rows_; }
  Result<void> put(const CachedPolicy&) override { return {}; }
  Result<void> erase(const DomainName&) override { return {}; }

 private:
  std::vector<CachedPolicy> rows_;
};

Result<std::unique_ptr<Standalone>> Standalone::build(const SettingsPtr& settings) {
  std::unique_ptr<Standalone> made(new Standalone(impatient(settings)));
  if (auto opened = made->open(); !opened) return opened.error();
  return made;
}

Standalone::Standalone(SettingsPtr settings)
    : loop_(std::make_unique<Loop>()),
      settings_(std::move(settings)),
      clock_(make_system_clock()),
      random_(make_system_random()),
      log_(std::make_unique<Silence>()) {}

Standalone::~Standalone() = default;

Result<void> Standalone::open() {
  const SettingsPtr settings = settings_.current();
  const Executor executor = loop_->context.get_executor();
  if (auto loaded = roots_.load(settings->trust.ca_file); !loaded) return loaded.error();
  const auto servers = find_dns_servers(settings->dns);
  if (!servers) return servers.error();
  auto dns = CaresResolver::create(executor, *clock_, *random_, metrics_, *servers, settings->dns.timeout);
  if (!dns) return dns.error();
  dns_ = std::move(*dns);
  cached_dns_ = std::make_unique<CachingResolver>(*dns_, *clock_);
  resolver_ = std::make_unique<RecordingResolver>(*cached_dns_);
  connector_ = std::make_unique<TcpConnector>(*clock_, [this] { return settings_.current(); });
  https_ = make_https_client(*resolver_, *connector_, *clock_, [this] { return roots_.current(); });
  fetcher_ = make_policy_fetcher(*https_, settings_);

  std::vector<CachedPolicy> rows;
  const auto file = settings->data_dir / "sts.db";
  std::error_code code;
  if (std::filesystem::exists(file, code)) {
    auto read = read_policy_cache(file, *log_);
    if (read) {
      rows = std::move(*read);
    } else {
      cache_unread_ = read.error().text();
    }
  } else if (code) {
    cache_unread_ = file.string() + ": " + code.message();
  }
  cache_ = std::make_unique<CopiedCache>(std::move(rows));
  PolicyService::Parts parts{executor,  executor, *clock_,   *random_, *resolver_,
                             *fetcher_, *cache_,  settings_, *log_,    metrics_};
  policies_ = std::make_unique<PolicyService>(std::move(parts));
  if (auto loaded = policies_->load(); !loaded) return loaded.error();
  planner_ = make_tls_planner(*policies_, *resolver_, *log_, metrics_);
  return {};
}

void Standalone::run(asio::awaitable<void> job) {
  std::exception_ptr thrown;
  asio::co_spawn(loop_->context, to_the_end(std::move(job), *policies_),
                 [&thrown](std::exception_ptr exception) { thrown = exception; });
  loop_->context.restart();
  loop_->context.run();
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace holdfast
