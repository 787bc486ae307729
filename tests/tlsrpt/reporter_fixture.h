// tests/tlsrpt/reporter_fixture.h — the reporter on its real databases, with a mail queue, a web and a DNS
// that the test owns, and a clock that it moves. "Restarting" builds everything anew on the same files.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tests/fakes/capture.h"
#include "tests/fakes/domain.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fixed_settings.h"
#include "tests/fakes/run.h"
#include "tests/fakes/zone_resolver.h"
#include "tests/tlsrpt/reporter_fakes.h"
#include "tlsrpt/report_ends.h"
#include "tlsrpt/reporter.h"

namespace holdfast {

inline const std::chrono::sys_days kReportDay = std::chrono::year(2026) / 3 / 14;

inline SessionOutcome outcome(const std::string& name, ResultType result,
                              std::chrono::sys_days day = kReportDay) {
  SessionOutcome out;
  out.day = day;
  out.report_domain = domain(name);
  out.result = result;
  if (result != ResultType::success) out.mx_host = "mx." + name;
  return out;
}

// Everything that ends with the process.
struct ReporterProcess {
  ReporterProcess(const std::filesystem::path& folder, FakeClock& clock, ZoneResolver& dns, FakeWeb& web,
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
  ReporterTest() : clock_(kReportDay + std::chrono::hours(12)) {
    std::string name = (std::filesystem::temp_directory_path() / "holdfast-reporter-XXXXXX").string();
    folder_ = mkdtemp(name.data());
    auto& settings = settings_.settings;
    settings.hostname = "relay.test";
    settings.tlsrpt.organization = "Relay Ltd";
    settings.tlsrpt.contact = "tls@relay.test";
    settings.tlsrpt.https_port = 8443;
    settings.tlsrpt.retry_for = std::chrono::hours(24);
    dns_.txt(kKeyName, kKeyRecord);
    dns_.set_ttl(std::chrono::seconds(0));
    restart();
  }
  ~ReporterTest() override {
    process_.reset();
    std::filesystem::remove_all(folder_);
  }

  void restart(int lives = 0, bool after = false) {
    process_.reset();
    process_ = std::make_unique<ReporterProcess>(folder_, clock_, dns_, web_, queue_, settings_, log_,
                                                 metrics_, lives, after);
  }
  void record(const std::string& name, ResultType result = ResultType::success,
              std::chrono::sys_days day = kReportDay) {
    ASSERT_TRUE(process_->ledger_store->add({{outcome(name, result, day), 3}}));
  }
  void ask_for_reports(const std::string& name, const std::string& rua) {
    dns_.txt("_smtp._tls." + name, "v=TLSRPTv1; rua=" + rua);
  }
  void pass_midnight() {
    clock_.set_wall(kReportDay + std::chrono::days(1) + std::chrono::minutes(10));
    process_->look();
  }
  // Time passes in steps, with a look at each.
  void pass(Duration time) {
    for (Duration gone{}; gone < time; gone += std::chrono::minutes(1)) {
      clock_.advance(std::chrono::minutes(1));
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
  std::unique_ptr<ReporterProcess> process_;
};

}  // namespace holdfast
