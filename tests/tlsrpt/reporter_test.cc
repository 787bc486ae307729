// The reporter on its real databases, with a mail queue, a web and a DNS that the test owns, and a clock that
// it moves. "Restarting" builds everything anew on the same files.
#include "tlsrpt/reporter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <set>

#include "smtp/base/base_error.h"
#include "tests/fakes/capture.h"
#include "tests/fakes/domain.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fixed_settings.h"
#include "tests/fakes/run.h"
#include "tests/fakes/zone_resolver.h"
#include "tlsrpt/gzip.h"
#include "tlsrpt/received_report.h"
#include "tlsrpt/report_bound.h"
#include "tlsrpt/report_ends.h"
#include "tlsrpt/report_json.h"
#include "tlsrpt/report_mail.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

const std::chrono::sys_days kReportDay = std::chrono::year(2026) / 3 / 14;
constexpr const char* kKeyName = "holdfast._domainkey.relay.test";
constexpr const char* kKeyRecord = "v=DKIM1; k=rsa; p=QUJD";

SessionOutcome outcome(const std::string& name, ResultType result, std::chrono::sys_days day = kReportDay) {
  SessionOutcome out;
  out.day = day;
  out.report_domain = domain(name);
  out.result = result;
  if (result != ResultType::success) out.mx_host = "mx." + name;
  return out;
}

// Keeps mail as the queue does: once per idempotency key, over restarts.
class FakeQueue final : public MessageSink {
 public:
  struct Mail {
    Envelope envelope;
    std::string content;
  };
  std::optional<Reply> admit(std::uint64_t) override { return std::nullopt; }
  asio::awaitable<Result<Acceptance>> accept(Envelope envelope, BodySource& body) override {
    ++calls;
    if (refuse) co_return Acceptance{std::nullopt, Reply{451, {"4.3.1 no space"}}};
    std::string content;
    while (true) {
      const auto chunk = co_await body.next();
      if (!chunk || chunk->empty()) break;
      content += *chunk;
    }
    if (keys.insert(envelope.idempotency_key).second)
      mails.push_back({std::move(envelope), std::move(content)});
    if (lose_answers > 0) {
      --lose_answers;
      co_return Error(BaseError::cancelled, "the answer was lost");
    }
    co_return Acceptance{QueueId(), {}};
  }

  std::vector<Mail> mails;
  std::set<std::string> keys;
  int calls = 0, lose_answers = 0;
  bool refuse = false;
};

// What the queue would say of a mail that it still holds.
class FakeQueuedMail final : public QueuedMail {
 public:
  asio::awaitable<Result<std::optional<QueuedMailState>>> find(QueueId) override {
    if (failing) co_return Error(BaseError::io, "the disk is gone");
    co_return held;
  }
  std::optional<QueuedMailState> held = QueuedMailState();
  bool failing = false;
};

class FakeWeb final : public HttpsClient {
 public:
  asio::awaitable<Result<HttpResponse>> exchange(HttpRequest request, HttpLimits) override {
    requests.push_back(request);
    if (forbidden.contains(request.url.host.text()))
      co_return Error(StsError::not_permitted, "10.0.0.1 is not a global address");
    if (unreachable.contains(request.url.host.text()))
      co_return Error(StsError::connect_failed, "connection refused");
    HttpResponse response;
    response.status = status;
    co_return response;
  }
  std::vector<HttpRequest> requests;
  std::set<std::string> forbidden, unreachable;
  int status = 201;
};

class FakeKey final : public ReportKey {
 public:
  Result<KeyRecord> record(const Settings&) override {
    return KeyRecord{kKeyName, kKeyRecord, std::string(kKeyName) + ". IN TXT ( \"" + kKeyRecord + "\" )"};
  }
};

// Dies at the n-th change of a state, either before or after it reached the disk; from then on nothing works,
// as for a process that was killed there.
class MortalStore final : public ReporterStore {
 public:
  MortalStore(std::unique_ptr<ReporterStore> real, int lives, bool after)
      : real_(std::move(real)), lives_(lives), after_(after) {}
  bool dead() const { return dead_; }
  int changes() const { return changes_; }

  Result<std::size_t> freeze(const std::vector<ReportProgress>& reports) override {
    return change<std::size_t>([&] { return real_->freeze(reports); });
  }
  Result<std::vector<ReportProgress>> due(WallTime now, std::size_t limit) override {
    if (dead_) return killed();
    return real_->due(now, limit);
  }
  Result<std::optional<ReportProgress>> lease(std::chrono::sys_days day, const DomainName& name, WallTime now,
                                              Duration time) override {
    return change<std::optional<ReportProgress>>([&] { return real_->lease(day, name, now, time); });
  }
  Result<void> save(const ReportProgress& report, bool release) override {
    return change<void>([&] { return real_->save(report, release); });
  }
  Result<std::size_t> hurry(std::chrono::sys_days day, WallTime now) override {
    return real_->hurry(day, now);
  }
  Result<void> mail_ended(const std::string& key, TargetState state, const std::string& reason) override {
    return real_->mail_ended(key, state, reason);
  }
  Result<void> suppress(const SuppressedAddress& address) override { return real_->suppress(address); }
  Result<std::optional<SuppressedAddress>> suppressed(const std::string& address, WallTime now) override {
    if (dead_) return killed();
    return real_->suppressed(address, now);
  }
  Result<std::vector<SuppressedAddress>> all_suppressed(WallTime now) override {
    return real_->all_suppressed(now);
  }
  Result<std::vector<ReportProgress>> list(std::optional<std::chrono::sys_days> day, bool all,
                                           std::size_t limit) override {
    return real_->list(day, all, limit);
  }
  Result<std::vector<LedgerDay>> erasable(WallTime before, std::size_t limit) override {
    if (dead_) return killed();
    return real_->erasable(before, limit);
  }
  Result<void> note_erased(const std::vector<LedgerDay>& days) override {
    return change<void>([&] { return real_->note_erased(days); });
  }
  Result<void> forget(WallTime before, WallTime now) override {
    if (dead_) return killed();
    return real_->forget(before, now);
  }

 private:
  static Error killed() { return Error(BaseError::io, "the process was killed"); }
  template <class T>
  Result<T> change(const std::function<Result<T>()>& work) {
    if (dead_) return killed();
    const bool dies = ++changes_ == lives_;
    if (dies) dead_ = true;
    if (dies && !after_) return killed();
    auto done = work();
    if (dies) return killed();
    return done;
  }

  std::unique_ptr<ReporterStore> real_;
  int lives_, changes_ = 0;
  bool after_, dead_ = false;
};

// Everything that ends with the process.
struct Process {
  Process(const std::filesystem::path& folder, FakeClock& clock, ZoneResolver& dns, FakeWeb& web,
          FakeQueue& queue, FixedSettings& settings, CapturingLog& log, CapturingMetrics& metrics,
          int lives = 0, bool after = false)
      : ledger_store(open_ledger_store(folder / "tlsrpt.db", "relay.test").value()),
        store(open_reporter_store(folder / "tlsrpt.db", "relay.test").value(), lives, after),
        ledger(*ledger_store, context.get_executor(), context.get_executor(), clock, log),
        ends(store, context.get_executor(), clock, log, metrics),
        reporter(Reporter::Parts{context.get_executor(), context.get_executor(), clock, ledger, store, dns,
                                 web, queue, queued, ends, key, settings, log, metrics}) {}
  void look() { run(context, reporter.look()); }
  std::string status(bool all = true) {
    return run(context, reporter.status_json(std::nullopt, all)).value();
  }

  asio::io_context context;
  std::unique_ptr<LedgerStore> ledger_store;
  MortalStore store;
  DurableLedger ledger;
  ReportEnds ends;
  FakeKey key;
  FakeQueuedMail queued;
  Reporter reporter;
};

class ReporterTest : public testing::Test {
 protected:
  ReporterTest() : clock_(kReportDay + 12h) {
    std::string name = (std::filesystem::temp_directory_path() / "holdfast-reporter-XXXXXX").string();
    folder_ = mkdtemp(name.data());
    auto& settings = settings_.settings;
    settings.hostname = "relay.test";
    settings.tlsrpt.organization = "Relay Ltd";
    settings.tlsrpt.contact = "tls@relay.test";
    settings.tlsrpt.https_port = 8443;
    settings.tlsrpt.retry_for = 24h;
    dns_.txt(kKeyName, kKeyRecord);
    dns_.set_ttl(0s);
    restart();
  }
  ~ReporterTest() override {
    process_.reset();
    std::filesystem::remove_all(folder_);
  }

  void restart(int lives = 0, bool after = false) {
    process_.reset();
    process_ = std::make_unique<Process>(folder_, clock_, dns_, web_, queue_, settings_, log_, metrics_,
                                         lives, after);
  }
  void record(const std::string& name, ResultType result = ResultType::success,
              std::chrono::sys_days day = kReportDay) {
    ASSERT_TRUE(process_->ledger_store->add({{outcome(name, result, day), 3}}));
  }
  void ask_for_reports(const std::string& name, const std::string& rua) {
    dns_.txt("_smtp._tls." + name, "v=TLSRPTv1; rua=" + rua);
  }
  void pass_midnight() {
    clock_.set_wall(kReportDay + std::chrono::days(1) + 10min);
    process_->look();
  }
  // Time passes in steps, with a look at each.
  void pass(Duration time) {
    for (Duration gone{}; gone < time; gone += 1min) {
      clock_.advance(1min);
      process_->look();
    }
  }
  std::vector<std::string> recipients() const {
    std::vector<std::string> all;
    for (const auto& mail : queue_.mails) all.push_back(mail.envelope.recipients.front().address.text());
    return all;
  }

  std::filesystem::path folder_;
  FakeClock clock_;
  ZoneResolver dns_;
  FakeWeb web_;
  FakeQueue queue_;
  FixedSettings settings_;
  CapturingLog log_;
  CapturingMetrics metrics_;
  std::unique_ptr<Process> process_;
};

TEST_F(ReporterTest, SendsNothingWhileTheDayLasts) {
  record("a.test");
  ask_for_reports("a.test", "mailto:r@a.test");
  process_->look();
  clock_.set_wall(kReportDay + 24h +
                  30s);  // sessions of the last second may still be on their way to the ledger
  process_->look();
  EXPECT_TRUE(queue_.mails.empty());
  clock_.set_wall(kReportDay + 24h + 61s);
  process_->look();
  EXPECT_EQ(queue_.mails.size(), 1u);
}

TEST_F(ReporterTest, SendsByMailAndByHttpsOnce) {
  record("a.test");
  record("a.test", ResultType::certificate_expired);
  ask_for_reports("a.test", "mailto:r@a.test,https://reports.a.test/v1");
  pass_midnight();
  pass(30min);
  ASSERT_THAT(recipients(), ElementsAre("r@a.test"));
  const auto& [envelope, content] = queue_.mails[0];
  EXPECT_EQ(envelope.origin, "tlsrpt");
  EXPECT_EQ(envelope.reverse_path.text(), "tls@relay.test");
  EXPECT_EQ(envelope.signing_domain, "relay.test");
  EXPECT_TRUE(envelope.tls.tls_required_no);
  EXPECT_TRUE(envelope.may_say_tls_required_no);
  EXPECT_FALSE(envelope.counts_in_tlsrpt);
  EXPECT_EQ(envelope.recipients[0].dsn.notify, kNotifyNever);
  EXPECT_EQ(envelope.expires, clock_.wall() - 30min + 24h);
  EXPECT_THAT(content, HasSubstr("TLS-Report-Domain: a.test\r\n"));

  ASSERT_EQ(web_.requests.size(), 1u);
  EXPECT_EQ(web_.requests[0].method, "POST");
  EXPECT_EQ(web_.requests[0].content_type, "application/tlsrpt+gzip");
  EXPECT_EQ(web_.requests[0].url.text(), "https://reports.a.test:8443/v1");
  const auto json = gunzip(web_.requests[0].body, 1 << 20).value();
  EXPECT_THAT(json, HasSubstr("\"total-successful-session-count\":3,\"total-failure-session-count\":3"));
  EXPECT_THAT(json, HasSubstr("2026-03-14T00:00:00Z"));
  const auto sent = log_.events("tlsrpt_sent");
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(metrics_.count("tlsrpt_reports_total{method=mailto,result=sent}"), 1u);
  EXPECT_EQ(metrics_.count("tlsrpt_reports_total{method=https,result=sent}"), 1u);
}

TEST_F(ReporterTest, SaysTheSameByMailAsByHttps) {
  auto failed = outcome("a.test", ResultType::validation_failure);
  failed.reason_code = "tls-alert-40";
  failed.receiving_ip = "192.0.2.1";
  failed.additional_information = "handshake failure";
  ASSERT_TRUE(process_->ledger_store->add({{failed, 2}}));
  ask_for_reports("a.test", "mailto:r@a.test,https://reports.a.test/v1");
  pass_midnight();
  const auto json = gunzip(web_.requests.at(0).body, 1 << 20).value();
  auto report = report_from_json(json, kReportDay, domain("a.test"));
  ASSERT_TRUE(report);
  EXPECT_EQ(report_json(*report), json);
  EXPECT_THAT(queue_.mails.at(0).content, HasSubstr("2 x validation-failure at mx.a.test [192.0.2.1]"));
}

TEST_F(ReporterTest, OddBytesOfAPeerSpoilNoReport) {
  auto failed = outcome("a.test", ResultType::validation_failure);
  failed.mx_host = "mx\xe4\"\x7f\n.a.test";
  failed.mx_helo = "\xff\xfe\x01odd";
  failed.additional_information = "caf\xe9\r\nBcc: x";
  failed.policy.type = AppliedPolicy::Type::sts;
  failed.policy.text = {"version: STSv1", "x-note: \xc3("};
  failed.policy.mode = StsMode::enforce;
  ASSERT_TRUE(process_->ledger_store->add({{failed, 2}}));
  ask_for_reports("a.test", "mailto:r@a.test,https://reports.a.test/v1");
  pass_midnight();
  ASSERT_EQ(queue_.mails.size(), 1u);
  const auto json = gunzip(web_.requests.at(0).body, 1 << 20).value();
  EXPECT_TRUE(parse_received_report(json)) << json;
  EXPECT_THAT(json, HasSubstr("odd"));
  EXPECT_THAT(queue_.mails[0].content, testing::Not(HasSubstr("Bcc")));
  EXPECT_THAT(process_->status(), HasSubstr("\"domain\":\"a.test\",\"state\":\"done\""));
}

TEST_F(ReporterTest, OddBytesOfAReceiverReachStatusAsText) {
  record("a.test");
  ask_for_reports("a.test", "mailto:r@a.test");
  pass_midnight();
  RecipientEnd end;
  end.origin = "tlsrpt";
  end.idempotency_key = queue_.mails.at(0).envelope.idempotency_key;
  end.recipient = "r@a.test";
  end.how = RecipientEnd::How::bounced;
  end.reason = "mx.a.test: 550 caf\xe9 \"\r\n\x1b[2Jgone";
  process_->ends.recipient_ended(end);
  settle(process_->context);
  const auto status = process_->status();
  EXPECT_THAT(status, HasSubstr("\"state\":\"bounced\""));
  EXPECT_EQ(std::count(status.begin(), status.end(), '\n'), 3);  // key, address, report: a line each
  EXPECT_THAT(status, testing::Not(testing::AnyOf(HasSubstr("\x1b"), HasSubstr("\r"))));
}

TEST_F(ReporterTest, ReportsAPolicyOfAHundredMxPatterns) {
  auto failed = outcome("a.test", ResultType::validation_failure);
  failed.policy.type = AppliedPolicy::Type::sts;
  failed.policy.mode = StsMode::enforce;
  failed.policy.text = {"version: STSv1", "mode: enforce"};
  for (int i = 0; i < 100; ++i) {
    failed.policy.mx.push_back("*.mx" + std::to_string(i) + ".a.test");
    failed.policy.text.push_back("mx: " + failed.policy.mx.back());
  }
  failed.policy.text.push_back("max_age: 86400");
  ASSERT_TRUE(process_->ledger_store->add({{failed, 2}}));
  ask_for_reports("a.test", "mailto:r@a.test,https://reports.a.test/v1");
  pass_midnight();
  EXPECT_EQ(queue_.mails.size(), 1u);
  const auto json = gunzip(web_.requests.at(0).body, 1 << 20).value();
  const auto report = parse_received_report(json);
  ASSERT_TRUE(report) << json;
  EXPECT_EQ(report->policies.at(0).mx, failed.policy.mx);
  EXPECT_EQ(report->policies.at(0).text, failed.policy.text);
  const auto status = process_->status();
  EXPECT_THAT(status, HasSubstr("\"domain\":\"a.test\",\"state\":\"done\""));
  EXPECT_THAT(status, HasSubstr("\"state\":\"queued\""));
  EXPECT_THAT(status, HasSubstr("\"state\":\"sent\""));
}

TEST_F(ReporterTest, TriesAnUnreachableTargetAgainUntilRetryForIsOver) {
  settings_.settings.tlsrpt.retry_for = 2h;
  record("a.test");
  ask_for_reports("a.test", "https://reports.a.test/v1");
  web_.unreachable.insert("reports.a.test");
  pass_midnight();
  EXPECT_THAT(process_->status(), HasSubstr("\"state\":\"waiting\",\"attempts\":1"));
  EXPECT_THAT(process_->status(), HasSubstr("connection refused"));
  pass(4h);
  EXPECT_GT(web_.requests.size(), 3u);
  EXPECT_THAT(process_->status(), HasSubstr("\"state\":\"given-up\""));
  EXPECT_THAT(process_->status(), HasSubstr("connection refused"));
}

TEST_F(ReporterTest, TellsOfDomainsThatAskForNothingOrForNothingUsable) {
  record("none.test");
  record("odd.test");
  record("two.test");
  ask_for_reports("odd.test", "gopher://odd.test");
  ask_for_reports("two.test", "mailto:r@two.test");
  dns_.txt("_smtp._tls.two.test", "v=TLSRPTv1; rua=mailto:s@two.test");
  pass_midnight();
  EXPECT_TRUE(queue_.mails.empty());
  const auto status = process_->status();
  EXPECT_THAT(status, HasSubstr("the domain asks for no reports"));
  EXPECT_THAT(status, HasSubstr("the record names no usable target"));
  EXPECT_THAT(status, HasSubstr("several records"));
  // Who asked and cannot be served is told of without being asked for; who wants nothing is not.
  const auto news = process_->status(false);
  EXPECT_THAT(news, testing::Not(HasSubstr("none.test")));
  EXPECT_THAT(news, HasSubstr("the record names no usable target"));
  EXPECT_THAT(news, HasSubstr("several records"));
}

TEST_F(ReporterTest, TellsOfADayThatWasGivenUpForDnsWithoutBeingAsked) {
  settings_.settings.tlsrpt.retry_for = 2h;
  record("a.test");
  dns_.fail("_smtp._tls.a.test", RecordType::txt, DnsStatus::server_failure);
  pass_midnight();
  pass(5h);
  EXPECT_THAT(process_->status(false), HasSubstr("given up: _smtp._tls.a.test"));
}

TEST_F(ReporterTest, TellsWhatTheReceiverOfAQueuedMailSays) {
  record("a.test");
  ask_for_reports("a.test", "mailto:r@a.test");
  pass_midnight();
  const auto target = [this] {
    const auto status = process_->status(false);
    return status.substr(status.find("\"targets\""));
  };
  EXPECT_THAT(target(), testing::Not(HasSubstr("tried")));  // the queue has just taken it
  QueuedMailState waits;
  waits.attempts = 3;
  waits.next = kReportDay + 36h;
  waits.reason = "450 4.2.0 mailbox busy";
  process_->queued.held = waits;
  EXPECT_THAT(target(), HasSubstr("\"state\":\"queued\""));
  EXPECT_THAT(target(), HasSubstr("tried 3 times: 450 4.2.0 mailbox busy"));
  EXPECT_THAT(target(), HasSubstr("\"next\":\"2026-03-15T12:00:00Z\""));
  process_->queued.held.reset();
  EXPECT_THAT(target(), HasSubstr("and gone from there"));
  process_->queued.failing = true;
  EXPECT_THAT(target(), HasSubstr("the disk is gone"));
}

TEST_F(ReporterTest, LearnsAfterACrashHowAMailEnded) {
  record("good.test");
  ask_for_reports("good.test", "mailto:r@good.test");
  pass_midnight();
  EXPECT_THAT(process_->status(), HasSubstr("\"state\":\"queued\""));
  restart();  // before the end was told
  process_->queued.failing = true;
  process_->look();
  EXPECT_THAT(process_->status(), HasSubstr("\"state\":\"queued\""));
  process_->queued.failing = false;
  process_->queued.held->ended = RecipientEnd::How::delivered;
  pass(1min);
  EXPECT_THAT(process_->status(), HasSubstr("\"state\":\"sent\""));
}

TEST_F(ReporterTest, SuppressesAnAddressWhoseBounceFellIntoACrash) {
  record("bad.test");
  ask_for_reports("bad.test", "mailto:r@bad.test");
  pass_midnight();
  restart();
  process_->queued.held->ended = RecipientEnd::How::bounced;
  process_->queued.held->reason = "550 5.1.1 no such user";
  pass(1min);
  EXPECT_THAT(process_->status(), HasSubstr("\"state\":\"bounced\""));
  EXPECT_THAT(process_->status(), HasSubstr("\"kind\":\"suppressed\""));
}

TEST_F(ReporterTest, ADnsFailureDelaysAReportAndLosesNone) {
  record("a.test");
  ask_for_reports("a.test", "mailto:r@a.test");
  dns_.fail("_smtp._tls.a.test", RecordType::txt, DnsStatus::server_failure);
  pass_midnight();
  EXPECT_TRUE(queue_.mails.empty());
  EXPECT_THAT(process_->status(), HasSubstr("\"state\":\"frozen\""));
  dns_.heal("_smtp._tls.a.test");
  pass(5min);
  EXPECT_THAT(recipients(), ElementsAre("r@a.test"));
}

TEST_F(ReporterTest, CountsOnly2xxAsSent) {
  record("a.test");
  ask_for_reports("a.test", "https://reports.a.test/v1");
  for (const int status : {302, 404, 500}) {
    web_.status = status;
    status == 302 ? pass_midnight() : pass(61min);
    EXPECT_TRUE(log_.events("tlsrpt_sent").empty()) << status;
    EXPECT_THAT(process_->status(), HasSubstr("HTTP status " + std::to_string(status)));
  }
  web_.status = 200;
  pass(61min);
  EXPECT_EQ(log_.events("tlsrpt_sent").size(), 1u);
  const auto requests = web_.requests.size();
  pass(120min);
  EXPECT_EQ(web_.requests.size(), requests);
}

TEST_F(ReporterTest, GivesUpAfterRetryForAndTheOtherTargetsDoNotSuffer) {
  settings_.settings.tlsrpt.retry_for = 2h;
  record("a.test");
  ask_for_reports("a.test", "https://reports.a.test/v1,mailto:r@a.test");
  web_.status = 503;
  pass_midnight();
  pass(4h);
  EXPECT_THAT(recipients(), ElementsAre("r@a.test"));
  EXPECT_EQ(metrics_.count("tlsrpt_reports_total{method=https,result=given_up}"), 1u);
  EXPECT_THAT(process_->status(), HasSubstr("\"state\":\"given-up\""));
}

TEST_F(ReporterTest, NeverTriesATargetAtAForbiddenAddressAgain) {
  record("a.test");
  ask_for_reports("a.test", "https://inside.a.test/v1");
  web_.forbidden.insert("inside.a.test");
  pass_midnight();
  pass(120min);
  EXPECT_EQ(web_.requests.size(), 1u);
  EXPECT_THAT(process_->status(), HasSubstr("not a global address"));
}

TEST_F(ReporterTest, MailWaitsLoudlyForItsKeyAndHttpsGoes) {
  dns_.remove(kKeyName, RecordType::txt);
  record("a.test");
  ask_for_reports("a.test", "mailto:r@a.test,https://reports.a.test/v1");
  pass_midnight();
  EXPECT_TRUE(queue_.mails.empty());
  EXPECT_EQ(web_.requests.size(), 1u);
  EXPECT_TRUE(log_.holds("wait until their signing key is found in DNS"));
  EXPECT_THAT(process_->status(), HasSubstr("mail waits for its signing key: there is no TXT record at"));
  EXPECT_THAT(process_->status(), HasSubstr("\"found\":false"));
  dns_.txt(kKeyName, "v=DKIM1; k=rsa; p=AAAA");
  pass(10min);
  EXPECT_TRUE(queue_.mails.empty());
  EXPECT_THAT(process_->status(), HasSubstr("holds another key"));
  dns_.remove(kKeyName, RecordType::txt);
  dns_.txt(kKeyName, "k=rsa; p= QUJD; v=DKIM1");  // the same, written by another hand
  pass(10min);
  EXPECT_EQ(queue_.mails.size(), 1u);
}

TEST_F(ReporterTest, SuppressesABouncingAddressForAWeek) {
  record("a.test");
  for (int day = 1; day <= 9; ++day)
    record("a.test", ResultType::success, kReportDay + std::chrono::days(day));
  ask_for_reports("a.test", "mailto:r@a.test");
  pass_midnight();
  ASSERT_EQ(queue_.mails.size(), 1u);
  RecipientEnd end;
  end.origin = "tlsrpt";
  end.idempotency_key = queue_.mails[0].envelope.idempotency_key;
  end.recipient = "r@a.test";
  end.how = RecipientEnd::How::bounced;
  end.reason = "550 5.1.1 nobody here";
  process_->ends.recipient_ended(end);
  settle(process_->context);
  EXPECT_THAT(process_->status(), HasSubstr("\"state\":\"bounced\""));
  EXPECT_THAT(process_->status(), HasSubstr("\"kind\":\"suppressed\",\"address\":\"r@a.test\""));
  EXPECT_EQ(metrics_.count("tlsrpt_reports_total{method=mailto,result=bounced}"), 1u);
  clock_.set_wall(kReportDay + 7 * 24h + 10min);
  process_->look();
  EXPECT_EQ(queue_.mails.size(), 1u);
  EXPECT_THAT(process_->status(), HasSubstr("suppressed, since mail to it bounced: 550 5.1.1 nobody here"));
  clock_.set_wall(kReportDay + 9 * 24h + 10min);
  process_->look();
  EXPECT_EQ(queue_.mails.size(), 3u);  // of the two days that ended since
}

TEST_F(ReporterTest, NotesThatAMailArrived) {
  record("a.test");
  ask_for_reports("a.test", "mailto:r@a.test");
  pass_midnight();
  EXPECT_THAT(process_->status(), HasSubstr("\"state\":\"queued\""));
  RecipientEnd end;
  end.origin = "submission";
  end.idempotency_key = queue_.mails.at(0).envelope.idempotency_key;
  end.how = RecipientEnd::How::bounced;
  process_->ends.recipient_ended(end);  // of somebody else's mail
  settle(process_->context);
  EXPECT_THAT(process_->status(), HasSubstr("\"state\":\"queued\""));
  end.origin = "tlsrpt";
  end.how = RecipientEnd::How::delivered;
  process_->ends.recipient_ended(end);
  settle(process_->context);
  EXPECT_THAT(process_->status(), HasSubstr("\"state\":\"sent\""));
}

TEST_F(ReporterTest, LeavesOutWhatTheOperatorExcluded) {
  settings_.settings.tlsrpt.exclude = {"Out.test"};
  settings_.settings.tlsrpt.only_failures = true;
  for (const char* name : {"out.test", "good.test", "bad.test"}) {
    record(name);
    ask_for_reports(name, std::string("mailto:r@") + name);
  }
  record("bad.test", ResultType::certificate_expired);
  record("out.test", ResultType::certificate_expired);
  pass_midnight();
  EXPECT_THAT(recipients(), ElementsAre("r@bad.test"));
  EXPECT_THAT(process_->status(), HasSubstr("excluded by tlsrpt.exclude"));
  EXPECT_THAT(process_->status(), HasSubstr("nothing failed, and tlsrpt.only_failures is true"));
}

TEST_F(ReporterTest, SendsNoHttpsWhereThatIsSwitchedOff) {
  settings_.settings.tlsrpt.https = false;
  record("a.test");
  record("b.test");
  ask_for_reports("a.test", "mailto:r@a.test,https://reports.a.test/v1");
  ask_for_reports("b.test", "https://reports.b.test/v1");
  pass_midnight();
  EXPECT_TRUE(web_.requests.empty());
  EXPECT_THAT(recipients(), ElementsAre("r@a.test"));
  EXPECT_THAT(process_->status(), HasSubstr("tlsrpt.https is false"));
}

TEST_F(ReporterTest, SendsNothingWhenSwitchedOff) {
  settings_.settings.tlsrpt.enabled = false;
  record("a.test");
  ask_for_reports("a.test", "mailto:r@a.test");
  pass_midnight();
  EXPECT_TRUE(queue_.mails.empty());
  EXPECT_THAT(process_->status(), HasSubstr("tlsrpt.enabled is false"));
}

TEST_F(ReporterTest, SendsDaysThatItMissedEachWithItsOwnRange) {
  for (int day = 0; day < 3; ++day)
    record("a.test", ResultType::success, kReportDay + std::chrono::days(day));
  ask_for_reports("a.test", "https://reports.a.test/v1");
  clock_.set_wall(kReportDay + 20 * 24h);
  process_->look();
  ASSERT_EQ(web_.requests.size(), 3u);
  std::set<std::string> days;
  for (const auto& request : web_.requests) {
    const auto json = gunzip(request.body, 1 << 20).value();
    days.insert(json.substr(json.find("start-datetime") + 17, 10));
  }
  EXPECT_EQ(days, (std::set<std::string>{"2026-03-14", "2026-03-15", "2026-03-16"}));
}

// The wall clock is set back over midnight, and the day comes once more.
TEST_F(ReporterTest, ARepeatedDayCountsInTheFirstOpenOneOverARestart) {
  ask_for_reports("a.test", "https://reports.a.test/v1");
  for (const bool restarts : {false, true}) {
    SCOPED_TRACE(restarts ? "restarted" : "running");
    process_.reset();
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directory(folder_);
    web_.requests.clear();
    clock_.set_wall(kReportDay + 23h);
    restart();
    record("a.test");
    pass_midnight();
    ASSERT_EQ(web_.requests.size(), 1u);

    clock_.set_wall(kReportDay + 23h + 30min);
    if (restarts) restart();
    process_->look();
    process_->ledger.record(outcome("a.test", ResultType::success));
    process_->ledger.record(outcome("a.test", ResultType::certificate_expired));
    process_->ledger.record(outcome("late.test", ResultType::success));  // of this domain none has been made
    EXPECT_TRUE(run(process_->context, process_->ledger.flush()));
    const auto sessions = [&](std::chrono::sys_days day, const std::string& name) {
      std::uint64_t sum = 0;
      for (const auto& row : process_->ledger_store->rows(day, domain(name)).value()) sum += row.sessions;
      return sum;
    };
    EXPECT_EQ(sessions(kReportDay, "a.test"), 3u);  // as its report says
    EXPECT_EQ(sessions(kReportDay + std::chrono::days(1), "a.test"), 2u);
    EXPECT_EQ(sessions(kReportDay, "late.test"), 1u);

    pass_midnight();
    EXPECT_EQ(web_.requests.size(), 1u);  // the day's report is not sent again
    clock_.set_wall(kReportDay + 2 * 24h + 10min);
    process_->look();
    ASSERT_EQ(web_.requests.size(), 2u);
    const auto json = gunzip(web_.requests[1].body, 1 << 20).value();
    EXPECT_THAT(json, HasSubstr("2026-03-15T00:00:00Z"));
    EXPECT_THAT(json, HasSubstr("\"total-successful-session-count\":1,\"total-failure-session-count\":1"));
    EXPECT_THAT(process_->status(), HasSubstr("\"day\":\"2026-03-14\",\"domain\":\"late.test\""));
  }
}

TEST_F(ReporterTest, SpreadsReportsOverTheJitter) {
  settings_.settings.tlsrpt.jitter = 4h;
  for (int i = 0; i < 20; ++i) {
    const auto name = "d" + std::to_string(i) + ".test";
    record(name);
    ask_for_reports(name, "mailto:r@" + name);
  }
  pass_midnight();
  const auto at_once = queue_.mails.size();
  EXPECT_LT(at_once, 10u);
  pass(2h);
  EXPECT_GT(queue_.mails.size(), at_once);
  EXPECT_LT(queue_.mails.size(), 20u);
  pass(2h);
  EXPECT_EQ(queue_.mails.size(), 20u);
}

TEST_F(ReporterTest, SendsAtOnceWhenTheOperatorSaysSo) {
  settings_.settings.tlsrpt.jitter = 4h;
  record("a.test");
  ask_for_reports("a.test", "mailto:r@a.test");
  const auto too_early = run(process_->context, process_->reporter.send(kReportDay));
  ASSERT_FALSE(too_early);
  EXPECT_TRUE(too_early.error().is(BaseError::not_permitted));
  clock_.set_wall(kReportDay + 24h + 1s);
  EXPECT_EQ(run(process_->context, process_->reporter.send(kReportDay)).value(), 1u);
  settle(process_->context);
  EXPECT_EQ(queue_.mails.size(), 1u);
  EXPECT_EQ(run(process_->context, process_->reporter.send(kReportDay)).value(), 0u);  // never twice
  settle(process_->context);
  EXPECT_EQ(queue_.mails.size(), 1u);
}

TEST_F(ReporterTest, RetriesAMailThatTheQueueRefused) {
  record("a.test");
  ask_for_reports("a.test", "mailto:r@a.test");
  queue_.refuse = true;
  pass_midnight();
  EXPECT_THAT(process_->status(), HasSubstr("451 4.3.1 no space"));
  queue_.refuse = false;
  pass(5min);
  EXPECT_EQ(queue_.mails.size(), 1u);
}

TEST_F(ReporterTest, ErasesADayOnceItsReportHasBeenGoneForAWhile) {
  record("a.test");
  record("none.test");
  ask_for_reports("a.test", "mailto:r@a.test");
  pass_midnight();
  EXPECT_FALSE(process_->ledger_store->rows(kReportDay, DomainName()).value().empty());
  clock_.set_wall(kReportDay + 6 * 24h);
  process_->look();
  EXPECT_TRUE(process_->ledger_store->rows(kReportDay, DomainName()).value().empty());
  EXPECT_THAT(process_->status(), HasSubstr("a.test"));
  clock_.set_wall(kReportDay + 20 * 24h);
  process_->look();
  EXPECT_THAT(process_->status(), testing::Not(HasSubstr("a.test\"")));
  EXPECT_EQ(queue_.mails.size(), 1u);
}

TEST_F(ReporterTest, KeepsADayWhoseReportStillWaits) {
  settings_.settings.tlsrpt.retry_for = 7 * 24h;
  record("a.test");
  ask_for_reports("a.test", "https://reports.a.test/v1");
  web_.status = 500;
  pass_midnight();
  clock_.set_wall(kReportDay + 6 * 24h);
  process_->look();
  EXPECT_FALSE(process_->ledger_store->rows(kReportDay, DomainName()).value().empty());
}

TEST_F(ReporterTest, ALeaseOfAnotherRelayIsRespectedUntilItRunsOut) {
  record("a.test");
  ask_for_reports("a.test", "mailto:r@a.test");
  ASSERT_TRUE(process_->store.freeze({freeze(kReportDay, domain("a.test"), 0s, clock_.wall())}));
  auto other = open_reporter_store(folder_ / "tlsrpt.db", "other.test").value();
  clock_.set_wall(kReportDay + 24h + 10min);
  ASSERT_TRUE(other->lease(kReportDay, domain("a.test"), clock_.wall(), 10min).value());
  process_->look();
  EXPECT_TRUE(queue_.mails.empty());
  pass(12min);
  EXPECT_EQ(queue_.mails.size(), 1u);
}

// The heart of it: killed before and after every single change of a state, and started again.
TEST_F(ReporterTest, KilledAtAnyStepItNeitherLosesNorRepeatsAReport) {
  ask_for_reports("a.test", "mailto:r@a.test,https://reports.a.test/v1");
  ask_for_reports("b.test", "mailto:r@b.test");
  dns_.fail("_smtp._tls.b.test", RecordType::txt, DnsStatus::timed_out);  // at first
  int steps = 0;
  for (int lives = 1; lives < 60; ++lives) {
    for (const bool after : {false, true}) {
      SCOPED_TRACE("killed " + std::string(after ? "after" : "before") + " change " + std::to_string(lives));
      process_.reset();
      std::filesystem::remove_all(folder_);
      std::filesystem::create_directory(folder_);
      queue_.mails.clear();
      queue_.keys.clear();
      web_.requests.clear();
      clock_.set_wall(kReportDay + 12h);
      dns_.fail("_smtp._tls.b.test", RecordType::txt, DnsStatus::timed_out);
      restart(lives, after);
      record("a.test");
      record("b.test");
      record("none.test");
      pass_midnight();
      dns_.heal("_smtp._tls.b.test");
      pass(5min);
      const bool killed = process_->store.dead();
      steps = std::max(steps, process_->store.changes());
      restart();
      pass(70min);
      EXPECT_THAT(recipients(), testing::UnorderedElementsAre("r@a.test", "r@b.test"));
      // A POST whose answer could not be noted any more is the one thing that is repeated, under the same id.
      std::set<std::string> bodies;
      for (const auto& request : web_.requests) bodies.insert(request.body);
      EXPECT_EQ(bodies.size(), 1u);
      EXPECT_LE(web_.requests.size(), killed ? 2u : 1u);
      if (!killed) {
        EXPECT_GT(lives, 8);
        return;
      }
    }
  }
  FAIL() << "it never ran through: " << steps;
}

TEST_F(ReporterTest, AMailWhoseAcceptanceWasNotHeardIsNotSentAgain) {
  record("a.test");
  ask_for_reports("a.test", "mailto:r@a.test");
  queue_.lose_answers = 1;
  pass_midnight();
  restart();
  pass(10min);
  EXPECT_EQ(queue_.mails.size(), 1u);
  EXPECT_EQ(queue_.calls, 2);
  EXPECT_THAT(process_->status(), HasSubstr("\"state\":\"queued\""));
}

TEST_F(ReporterTest, AFailingDatabaseIsToldOnceAndReportsFollowLater) {
  record("a.test");
  ask_for_reports("a.test", "mailto:r@a.test");
  restart(1, false);
  pass_midnight();
  pass(3min);
  EXPECT_TRUE(log_.holds("TLS reports wait: "));
  std::size_t told = 0;
  for (const auto& line : log_.lines())
    told += line.text.find("TLS reports wait: ") != std::string::npos ? 1 : 0;
  EXPECT_EQ(told, 1u);
}

TEST(ReportBound, KeepsEveryCountInAReportThatWouldBeTooLarge) {
  Report report;
  report.organization = "Relay Ltd";
  report.contact = "tls@relay.test";
  report.report_id = "id";
  report.day = kReportDay;
  report.domain = domain("a.test");
  for (int p = 0; p < 300; ++p) {
    ReportedPolicy policy;
    policy.type = p % 2 == 0 ? "sts" : "tlsa";
    policy.domain = "a.test";
    for (int mx = 0; mx < 100; ++mx) policy.mx.push_back("mx" + std::to_string(mx) + ".a.test");
    policy.text = {std::string(60'000, 'x')};
    policy.successful = 1;
    for (int f = 0; f < 250; ++f) {
      FailureDetails failure;
      failure.result = f % 2 == 0 ? ResultType::certificate_expired : ResultType::validation_failure;
      failure.receiving_mx_hostname = "mx" + std::to_string(f) + ".a.test";
      failure.failed_sessions = 2;
      policy.failed += 2;
      policy.failures.push_back(failure);
    }
    report.policies.push_back(policy);
  }
  for (const std::size_t size : {8'000'000U, 500'000U, 50'000U}) {
    const auto json = bounded_report_json(report, size);
    EXPECT_LE(json.size(), size);
    const auto back = report_from_json(json, kReportDay, report.domain).value();
    std::uint64_t good = 0, bad = 0, detailed = 0;
    for (const auto& policy : back.policies) {
      good += policy.successful;
      bad += policy.failed;
      for (const auto& failure : policy.failures) detailed += failure.failed_sessions;
    }
    EXPECT_EQ(good, 300u);
    EXPECT_EQ(bad, 300u * 500);
    EXPECT_EQ(detailed, bad);
    EXPECT_THAT(json, HasSubstr(kFoldedNote));
  }
}

TEST(ReportKey, ComparesThePublicPartAlone) {
  EXPECT_EQ(dkim_public_key("v=DKIM1; k=rsa; p=AB CD"), "ABCD");
  EXPECT_EQ(dkim_public_key("p=; v=DKIM1"), "");
  EXPECT_EQ(dkim_public_key("v=DKIM1"), "");
}

}  // namespace
}  // namespace holdfast
