// mta/standalone.h — what commands use that work beside the relay or without one: resolver, connector, HTTPS
// client, policies and planner, built from the configuration, on the caller's own thread.
//
// They are the very classes that deliveries use. Policies that the relay has cached are read, since they
// decide about its deliveries; nothing is written. What was wrong with reading them is in `cache_unread`.
#pragma once

#include <memory>
#include <string>

#include "config/published_settings.h"
#include "mta/metrics_registry.h"
#include "mta/recording_resolver.h"
#include "mta/trust_roots.h"
#include "smtp/base/random.h"
#include "smtp/client/tcp_connector.h"
#include "smtp/dns/caching_resolver.h"
#include "smtp/dns/cares_resolver.h"
#include "sts/policy_service.h"
#include "sts/tls_planner.h"

namespace holdfast {

class Standalone {
 public:
  // Somebody waits before a terminal: limits that suit a delivery in the background are too long for it.
  static constexpr Millis kLongestFetch = std::chrono::seconds(20);

  static Result<std::unique_ptr<Standalone>> build(const SettingsPtr& settings);
  ~Standalone();

  // Runs the job to its end; its exceptions come out.
  void run(asio::awaitable<void> job);

  SettingsPtr settings() const { return settings_.current(); }
  Clock& clock() { return *clock_; }
  Random& random() { return *random_; }
  RecordingResolver& resolver() { return *resolver_; }
  Connector& connector() { return *connector_; }
  HttpsClient& https() { return *https_; }
  PolicyFetcher& fetcher() { return *fetcher_; }
  PolicyService& policies() { return *policies_; }
  TlsPlanner& planner() { return *planner_; }
  std::shared_ptr<const TlsClientContexts> contexts() const { return roots_.current(); }
  const std::string& cache_unread() const { return cache_unread_; }

 private:
  struct Loop;
  class Silence;
  class CopiedCache;

  explicit Standalone(SettingsPtr settings);
  Result<void> open();

  std::unique_ptr<Loop> loop_;  // before everything that lives on it
  PublishedSettings settings_;
  std::unique_ptr<Clock> clock_;
  std::unique_ptr<Random> random_;
  MetricsRegistry metrics_;
  std::unique_ptr<Silence> log_;
  TrustRoots roots_;
  std::unique_ptr<CaresResolver> dns_;
  std::unique_ptr<CachingResolver> cached_dns_;
  std::unique_ptr<RecordingResolver> resolver_;
  std::unique_ptr<TcpConnector> connector_;
  std::unique_ptr<HttpsClient> https_;
  std::unique_ptr<PolicyFetcher> fetcher_;
  std::unique_ptr<CopiedCache> cache_;
  std::unique_ptr<PolicyService> policies_;
  std::unique_ptr<TlsPlanner> planner_;
  std::string cache_unread_;
};

}  // namespace holdfast
