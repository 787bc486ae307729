// tests/queue/delivery_fixture.h — the whole sending side on one io_context and a fake clock: the real
// scheduler and deliverers, the real planner's decision, the real client session, between a store in memory
// and mail servers that are coroutines on paired streams.
#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "queue/deliverer.h"
#include "queue/scheduler.h"
#include "smtp/base/base_error.h"
#include "smtp/tls/tls_stream.h"
#include "tests/fakes/capture.h"
#include "tests/fakes/certificates.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fixed_settings.h"
#include "tests/fakes/memory_store.h"
#include "tests/fakes/run.h"
#include "tests/fakes/scripted_stream.h"
#include "tests/fakes/zone_resolver.h"

namespace holdfast {

class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed = 1) : engine_(seed) {}
  std::uint64_t next() override { return engine_(); }

 private:
  std::mt19937_64 engine_;
};

inline Settings delivery_settings() {
  Settings s;
  s.hostname = "relay.example";
  s.postmaster = "postmaster@relay.example";
  s.delivery.port = 25;
  s.delivery.retry = {std::chrono::minutes(5), std::chrono::minutes(15), std::chrono::minutes(60)};
  s.delivery.expire = std::chrono::hours(120);
  s.delivery.delay_notice_after = std::chrono::hours(4);
  s.delivery.connections_per_destination = 20;
  s.delivery.connections_per_mx = 20;
  s.delivery.messages_per_connection = 100;
  s.delivery.idle_connection = std::chrono::seconds(10);
  s.delivery.connections_total = 500;
  s.queue.bounce_expire = std::chrono::hours(24);
  s.limits.header_size = 262144;
  return s;
}

// A mail server. What it does is data, or a function where the test needs one; "" as a reply drops the
// connection.
struct TestMx {
  bool refuses_connections = false;
  bool silent = false;       // takes connections, never speaks
  Duration answers_after{};  // each reply
  Clock* clock = nullptr;    // the connector's
  std::string greeting = "220 mx ESMTP";
  std::vector<std::string> extensions = {"PIPELINING", "8BITMIME", "SIZE 10000000", "ENHANCEDSTATUSCODES"};
  std::vector<std::string> tls_extensions;  // besides `extensions`, once under TLS
  std::shared_ptr<const TlsServerContext> tls;
  bool offers_starttls = true;  // when `tls` is set
  std::string starttls = "220 2.0.0 go";
  std::string ehlo_under_tls;  // instead of the extensions; "drop": the connection is dropped
  std::function<std::string(const std::string& from)> mail;
  std::function<std::string(const std::string& to)> rcpt;
  std::function<std::string()> data;
  std::function<std::string()> final_dot;

  struct Taken {
    std::string from;
    std::vector<std::string> to;
    std::string content;
    bool tls = false;
    std::string mail_command;
    std::string ip;
  };
  std::vector<Taken> taken;
  unsigned connections = 0;
  unsigned handshakes = 0;
  unsigned open = 0, most_open = 0;
  std::vector<std::string> in_clear;  // every line that came without TLS
  std::string authenticated;          // the latest AUTH command; it is always right

  std::size_t copies_of(const std::string& to) const {
    std::size_t n = 0;
    for (const auto& t : taken)
      for (const auto& r : t.to) n += r == to ? 1 : 0;
    return n;
  }
};

class TestMxSession {
 public:
  TestMxSession(TestMx& mx, std::unique_ptr<Stream> stream, std::string ip)
      : mx_(mx), stream_(std::move(stream)), ip_(std::move(ip)) {
    ++mx_.connections;
    mx_.most_open = std::max(mx_.most_open, ++mx_.open);
  }
  ~TestMxSession() { --mx_.open; }
  asio::awaitable<void> run();

 private:
  asio::awaitable<std::optional<std::string>> line();
  asio::awaitable<bool> say(std::string text);
  asio::awaitable<bool> command(std::string text);
  std::string ehlo() const;

  TestMx& mx_;
  std::unique_ptr<Stream> stream_;
  std::string ip_;
  std::string buffer_;
  bool tls_ = false;
  bool reading_content_ = false;
  bool in_transaction_ = false;
  TestMx::Taken now_;
};

// Leads to the servers by address.
class TestConnector final : public Connector {
 public:
  TestConnector(Executor executor, Clock& clock) : executor_(std::move(executor)), clock_(clock) {}
  asio::awaitable<Result<std::unique_ptr<Stream>>> connect(ConnectTarget target, Duration limit) override;

  std::map<std::string, TestMx*> servers;  // by "ip"
  std::vector<ConnectTarget> targets;
  // What stands between the relay and a server, when given.
  std::function<std::unique_ptr<Stream>(std::unique_ptr<Stream>)> between;

 private:
  Executor executor_;
  Clock& clock_;
};

// The real decision on what the test says is known.
class TestPlanner final : public TlsPlanner {
 public:
  explicit TestPlanner(Resolver& dns) : dns_(dns) {}
  asio::awaitable<TlsPlan> plan(PlanRequest request) override;

  std::map<std::string, StsLookup> policies;  // by domain; absent otherwise
  std::vector<PlanRequest> requests;
  std::function<void(const PlanRequest&)> before;

 private:
  Resolver& dns_;
};

class TestLedger final : public Ledger {
 public:
  void record(SessionOutcome outcome) override { outcomes.push_back(std::move(outcome)); }
  std::vector<SessionOutcome> outcomes;
  std::size_t count(ResultType result) const {
    std::size_t n = 0;
    for (const auto& o : outcomes) n += o.result == result ? 1 : 0;
    return n;
  }
};

class TestObserver final : public OriginObserver {
 public:
  void recipient_ended(const RecipientEnd& end) override { ends.push_back(end); }
  std::vector<RecipientEnd> ends;
};

struct MessageOptions {
  std::string from = "sender@origin.example";
  std::string body = "Subject: test\r\n\r\nHello\r\n";
  TlsClass tls;
  bool counts_in_tlsrpt = true;
  BodyType body_type = BodyType::seven_bit;
  bool smtputf8 = false;
  std::uint8_t notify = 0;
  std::map<std::string, RecipientDsn> dsn;  // by address, where `notify` is not for all
  std::string envelope_id;
  DsnReturn dsn_return = DsnReturn::unspecified;
  Duration hold{};                              // not before (FUTURERELEASE)
  Duration lifetime = std::chrono::hours(120);  // from then on
  bool claim = false;
};

// The servers outlive it.
class DeliveryFixture {
 public:
  explicit DeliveryFixture(Settings settings = delivery_settings(), unsigned workers = 1,
                           std::uint64_t seed = 1, std::size_t window = kSchedulerWindow,
                           Duration gather = Duration(0));
  ~DeliveryFixture();

  // A server at `ip`, being an MX of `domain` under the name `host`.
  void serve(TestMx& mx, const std::string& domain, const std::string& host, const std::string& ip,
             std::uint16_t preference = 10);
  QueueId submit(const std::vector<std::string>& recipients, MessageOptions options = {});
  void start() {
    scheduler->start();
    settle();
  }
  void settle() { holdfast::settle(context); }
  void advance(Duration time) {
    clock.advance(time);
    settle();
  }
  // Moves time in steps, so that timers that follow from others come as well.
  void pass(Duration time, Duration step = std::chrono::minutes(1));
  void enforce(const std::string& domain, const std::vector<std::string>& mx,
               StsMode mode = StsMode::enforce);

  std::vector<QueueRow> rows(std::optional<RecipientState> state = std::nullopt);
  std::vector<QueueRow> rows_of(QueueId id, std::optional<RecipientState> state = std::nullopt);
  std::size_t count(RecipientState state) { return rows(state).size(); }
  std::string reason_of(const std::string& to);
  // What a notification tells of an address: "failed 5.1.1", with " (policy)" where it names one; "" when
  // none does.
  std::string told_of(const std::string& address);
  std::size_t notifications();
  void stop(Duration grace = std::chrono::seconds(5));
  void reload(Settings settings) { source.settings = std::move(settings); }

  asio::io_context context;
  FakeClock clock;
  Timeline timeline{clock};
  SeededRandom random;
  FixedSettings source;
  CapturingLog log;
  CapturingMetrics metrics;
  MemoryStore store{clock};
  ZoneResolver dns;
  TestPlanner planner{dns};
  TestConnector connector;
  TestLedger ledger;
  TestObserver observer;
  ConnectionBudget budget;
  std::shared_ptr<const TlsClientContexts> contexts;
  std::unique_ptr<Scheduler> scheduler;
  std::vector<std::unique_ptr<Deliverer>> deliverers;
  bool stopped = false;
};

// A certificate authority that the fixtures trust, and servers' contexts from it; made once per program.
const TestAuthority& test_authority();
std::shared_ptr<const TlsServerContext> certificate_for(const std::string& host);

}  // namespace holdfast
