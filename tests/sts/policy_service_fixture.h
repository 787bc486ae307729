// tests/sts/policy_service_fixture.h — a policy service with its cache on disk, and a DNS, a policy host and
// a clock that the test owns.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "smtp/base/base_error.h"
#include "smtp/base/notifier.h"
#include "sts/policy_cache.h"
#include "sts/policy_service.h"
#include "tests/fakes/capture.h"
#include "tests/fakes/fixed_settings.h"
#include "tests/fakes/run.h"
#include "tests/fakes/zone_resolver.h"

namespace holdfast {

// What the policy host would serve; a fetch can be held up to see who waits for it.
class FakeFetcher final : public PolicyFetcher {
 public:
  asio::awaitable<Result<StsPolicy>> fetch(DomainName domain) override {
    ++fetches[domain.text()];
    order.push_back(domain.text());
    while (held) {
      const bool notified = co_await released.wait();
      if (!notified) break;
    }
    const auto stopped = co_await is_cancelled();
    if (stopped) co_return BaseError::cancelled;
    if (error) co_return *error;
    co_return StsPolicy::parse(text);
  }
  int count(const std::string& domain = "example.com") { return fetches[domain]; }
  void fail(StsError e) { error.emplace(e, "the test says so"); }
  void serve(std::string mode, std::string mx = "mx.example.com", std::string max_age = "604800") {
    error.reset();
    text = "version: STSv1\nmode: " + mode + "\nmx: " + mx + "\nmax_age: " + max_age + "\n";
  }

  std::map<std::string, int> fetches;
  std::vector<std::string> order;
  std::optional<Error> error;
  std::string text;
  bool held = false;
  Notifier released;
};

class FixedRandom final : public Random {
 public:
  std::uint64_t next() override { return engine_(); }

 private:
  std::mt19937_64 engine_{7};
};

inline Settings sts_settings() {
  Settings settings;
  settings.sts.refresh = std::chrono::hours(24);
  settings.sts.fetch_timeout = std::chrono::seconds(60);
  return settings;
}

class PolicyServiceTest : public testing::Test {
 protected:
  using State = StsLookup::State;

  PolicyServiceTest() {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    directory_ = std::filesystem::temp_directory_path() /
                 ("holdfast-sts-" + std::to_string(getpid()) + "-" + test->name());
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
    fetcher_.serve("enforce");
    restart();
  }
  ~PolicyServiceTest() override {
    stop();
    std::filesystem::remove_all(directory_);
  }

  void restart(PolicyService::Limits limits = {}) {
    stop();
    cache_ = open_policy_cache(directory_ / "sts.db", log_).value();
    PolicyService::Parts parts{context_.get_executor(),
                               context_.get_executor(),
                               clock_,
                               random_,
                               dns_,
                               fetcher_,
                               *cache_,
                               settings_,
                               log_,
                               metrics_};
    service_ = std::make_unique<PolicyService>(parts, limits);
    ASSERT_TRUE(service_->load());
  }
  void stop() {
    if (service_) run(context_, service_->stop());
    service_.reset();
    cache_.reset();
  }

  static DomainName domain(const std::string& text = "example.com") {
    return DomainName::parse(text).value();
  }
  void publish(const std::string& id, const std::string& name = "example.com") {
    retract(name);
    dns_.txt("_mta-sts." + name, "v=STSv1; id=" + id + ";");
  }
  void retract(const std::string& name = "example.com") { dns_.remove("_mta-sts." + name, RecordType::txt); }
  void dns_fails(const std::string& name = "example.com") {
    dns_.fail("_mta-sts." + name, DnsStatus::server_failure);
  }
  StsLookup lookup(bool fresh = false, const std::string& name = "example.com") {
    return run(context_, service_->lookup(domain(name), fresh));
  }
  StsLookup refresh(const std::string& name = "example.com") {
    return run(context_, service_->refresh(domain(name)));
  }
  std::size_t entries() { return run(context_, service_->entries()).size(); }
  void expect_enforced(const StsLookup& found, const std::string& id) {
    ASSERT_EQ(found.state, State::present) << found.detail;
    EXPECT_EQ(found.cached->policy.mode, StsMode::enforce);
    EXPECT_EQ(found.cached->id, id);
    EXPECT_FALSE(found.fetch_failure);
  }
  // Lets time pass in steps, as sweeps see it.
  void pass(Duration time, Duration step = std::chrono::minutes(1)) {
    for (Duration passed{}; passed < time; passed += step) {
      clock_.advance(step);
      settle(context_);
    }
  }

  asio::io_context context_;
  FakeClock clock_;
  FixedRandom random_;
  ZoneResolver dns_;
  FakeFetcher fetcher_;
  FixedSettings settings_{sts_settings()};
  CapturingLog log_;
  CapturingMetrics metrics_;
  std::filesystem::path directory_;
  std::unique_ptr<PolicyCache> cache_;
  std::unique_ptr<PolicyService> service_;
};

}  // namespace holdfast
