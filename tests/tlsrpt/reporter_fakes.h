// tests/tlsrpt/reporter_fakes.h — what the reporter meets in its tests: a mail queue, a web, a key, and a
// store that dies at a chosen step.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "smtp/base/base_error.h"
#include "smtp/base/notifier.h"
#include "smtp/message_sink.h"
#include "sts/https_client.h"
#include "tlsrpt/queued_mail.h"
#include "tlsrpt/report_key.h"
#include "tlsrpt/reporter_store.h"

namespace holdfast {

inline constexpr const char* kKeyName = "holdfast._domainkey.relay.test";
inline constexpr const char* kKeyRecord = "v=DKIM1; k=rsa; p=QUJD";

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
    while (hanging.contains(request.url.host.text())) {
      const bool notified = co_await released.wait();
      if (!notified) co_return Error(BaseError::cancelled, "stopped");
    }
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
  std::set<std::string> hanging;  // until it is empty and `released` is notified
  Notifier released;
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

}  // namespace holdfast
