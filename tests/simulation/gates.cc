#include "tests/simulation/gates.h"

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "smtp/base/base_error.h"
#include "tests/fakes/run.h"

namespace holdfast::simulation {
namespace {

Error dead() { return Error(BaseError::io, "the power is off"); }
Error store_dead() { return Error(StoreError::failed_for_good, "the power is off"); }

class GatedStaged final : public StagedBody {
 public:
  GatedStaged(std::unique_ptr<StagedBody> body, asio::io_context& context, const Power& power)
      : inner(std::move(body)), context_(context), power_(power) {}
  asio::awaitable<Result<void>> write(std::string_view chunk) override {
    if (!power_.on) co_return store_dead();
    co_return run(context_, inner->write(chunk));
  }
  asio::awaitable<Result<void>> finish() override {
    if (!power_.on) co_return store_dead();
    co_return run(context_, inner->finish());
  }
  std::uint64_t size() const override { return inner->size(); }

  std::unique_ptr<StagedBody> inner;

 private:
  asio::io_context& context_;
  const Power& power_;
};

class GatedStored final : public StoredBody {
 public:
  GatedStored(std::unique_ptr<StoredBody> body, asio::io_context& context, const Power& power)
      : inner_(std::move(body)), context_(context), power_(power) {}
  asio::awaitable<Result<std::string_view>> next() override {
    if (!power_.on) co_return store_dead();
    co_return run(context_, inner_->next());
  }
  std::uint64_t size() const override { return inner_->size(); }
  bool in_memory() const override { return inner_->in_memory(); }

 private:
  std::unique_ptr<StoredBody> inner_;
  asio::io_context& context_;
  const Power& power_;
};

}  // namespace

// Mostly the next turn of the loop; now and then some milliseconds, so that other things come in between.
asio::awaitable<void> GatedStore::disk_time() {
  const Waiting waiting(world_.stage);
  if (world_.dice.chance(70)) {
    co_await asio::post(world_.context.get_executor(), asio::use_awaitable);
    co_return;
  }
  const Duration time = std::chrono::microseconds(world_.dice.between(50, 20'000));
  co_await sleep_for(world_.clock, time);
}

template <class T>
asio::awaitable<Result<T>> GatedStore::ask(asio::awaitable<Result<T>> question) {
  co_await disk_time();
  if (!power_.on) co_return store_dead();
  Result<T> answer = run(private_, std::move(question));
  co_await disk_time();
  if (!power_.on) co_return store_dead();
  co_return answer;
}

std::unique_ptr<StagedBody> GatedStore::stage_body() {
  return std::make_unique<GatedStaged>(inner_.stage_body(), private_, power_);
}

void GatedStore::break_promise(Batch& batch, bool& forget) {
  const bool now = counted_++ % 4 == 3;
  if (plant_ == Plant::store_forgets_accepts && now && !batch.accept.empty()) forget = true;
  if (plant_ == Plant::store_forgets_ends && now) {
    std::erase_if(batch.complete, [](const Complete& c) { return c.state == RecipientState::delivered; });
  }
  if (plant_ == Plant::store_loses_notices)
    std::erase_if(batch.accept, [](const Accept& a) { return a.meta.is_bounce; });
}

asio::awaitable<Result<ApplyResult>> GatedStore::apply(Batch batch) {
  for (auto& accept : batch.accept) {
    if (!accept.body) continue;
    accept.body = std::move(static_cast<GatedStaged&>(*accept.body).inner);
  }
  co_await disk_time();
  if (!power_.on) co_return store_dead();
  if (fail_next) {
    const StoreError error = *fail_next;
    fail_next.reset();
    world_.trace.add("disk", describe(error));
    co_return Error(error, "as the simulation wills");
  }
  bool forget = false;
  if (plant_ != Plant::none) break_promise(batch, forget);
  if (forget) {
    ApplyResult pretended;
    for (const auto& accept : batch.accept) pretended.accepted.push_back({accept.meta.id, false, {}});
    co_return pretended;
  }
  auto result = run(private_, inner_.apply(std::move(batch)));
  co_await disk_time();
  if (!power_.on) co_return store_dead();
  co_return result;
}

asio::awaitable<Result<Due>> GatedStore::due(WallTime now, std::size_t limit) {
  return ask(inner_.due(now, limit));
}
asio::awaitable<Result<std::vector<Claim>>> GatedStore::claim(std::vector<std::string> domains, std::size_t n,
                                                              WallTime now, std::string owner,
                                                              Duration lease) {
  return ask(inner_.claim(std::move(domains), n, now, std::move(owner), lease));
}
asio::awaitable<Result<bool>> GatedStore::renew(ClaimToken token, Duration lease) {
  return ask(inner_.renew(token, lease));
}
asio::awaitable<Result<std::unique_ptr<StoredBody>>> GatedStore::open_body(QueueId id) {
  auto opened = co_await ask(inner_.open_body(id));
  if (!opened) co_return opened.error();
  co_return std::make_unique<GatedStored>(std::move(*opened), private_, power_);
}
asio::awaitable<Result<std::string>> GatedStore::read_header(QueueId id) {
  return ask(inner_.read_header(id));
}
asio::awaitable<Result<std::vector<QueueRow>>> GatedStore::list(QueueFilter filter) {
  return ask(inner_.list(std::move(filter)));
}
asio::awaitable<Result<std::vector<HistoryEntry>>> GatedStore::history(QueueId id) {
  return ask(inner_.history(id));
}
asio::awaitable<Result<StoreStats>> GatedStore::stats() { return ask(inner_.stats()); }
asio::awaitable<void> GatedStore::close() { co_return; }
asio::awaitable<Result<bool>> GatedStore::take(std::string key, Rate rate, std::uint64_t n) {
  if (!power_.on) co_return store_dead();
  co_return run(private_, quota_.take(std::move(key), rate, n));
}

Result<std::vector<CachedPolicy>> GatedPolicyCache::load() {
  if (plant_ == Plant::cache_forgets_policies) return std::vector<CachedPolicy>();
  return inner_.load();
}
Result<void> GatedPolicyCache::put(const CachedPolicy& policy) {
  return power_.on ? inner_.put(policy) : dead();
}
Result<void> GatedPolicyCache::erase(const DomainName& domain) {
  return power_.on ? inner_.erase(domain) : dead();
}

Result<void> GatedLedgerStore::add(const std::vector<LedgerRow>& rows) {
  return power_.on ? inner_.add(rows) : dead();
}
Result<std::vector<LedgerRow>> GatedLedgerStore::rows(std::chrono::sys_days day, const DomainName& domain) {
  if (!power_.on) return dead();
  return inner_.rows(day, domain);
}
Result<void> GatedLedgerStore::erase(const std::vector<LedgerDay>& days) {
  return power_.on ? inner_.erase(days) : dead();
}
Result<std::vector<LedgerDay>> GatedLedgerStore::days_before(std::chrono::sys_days day) {
  if (!power_.on) return dead();
  return inner_.days_before(day);
}

Result<std::size_t> GatedReporterStore::freeze(const std::vector<ReportProgress>& reports) {
  if (!power_.on) return dead();
  return inner_.freeze(reports);
}
Result<std::vector<ReportProgress>> GatedReporterStore::due(WallTime now, std::size_t limit) {
  if (!power_.on) return dead();
  return inner_.due(now, limit);
}
Result<std::optional<ReportProgress>> GatedReporterStore::lease(std::chrono::sys_days day,
                                                                const DomainName& domain, WallTime now,
                                                                Duration lease) {
  if (!power_.on) return dead();
  return inner_.lease(day, domain, now, lease);
}
Result<void> GatedReporterStore::save(const ReportProgress& report, bool release) {
  return power_.on ? inner_.save(report, release) : dead();
}
Result<std::size_t> GatedReporterStore::hurry(std::chrono::sys_days day, WallTime now) {
  if (!power_.on) return dead();
  return inner_.hurry(day, now);
}
Result<void> GatedReporterStore::mail_ended(const std::string& key, TargetState state,
                                            const std::string& reason) {
  return power_.on ? inner_.mail_ended(key, state, reason) : dead();
}
Result<void> GatedReporterStore::suppress(const SuppressedAddress& address) {
  return power_.on ? inner_.suppress(address) : dead();
}
Result<std::optional<SuppressedAddress>> GatedReporterStore::suppressed(const std::string& address,
                                                                        WallTime now) {
  if (!power_.on) return dead();
  return inner_.suppressed(address, now);
}
Result<std::vector<SuppressedAddress>> GatedReporterStore::all_suppressed(WallTime now) {
  if (!power_.on) return dead();
  return inner_.all_suppressed(now);
}
Result<std::vector<ReportProgress>> GatedReporterStore::list(std::optional<std::chrono::sys_days> day,
                                                             bool all, std::size_t limit) {
  if (!power_.on) return dead();
  return inner_.list(day, all, limit);
}
Result<std::vector<LedgerDay>> GatedReporterStore::erasable(WallTime ended_before, std::size_t limit) {
  if (!power_.on) return dead();
  return inner_.erasable(ended_before, limit);
}
Result<void> GatedReporterStore::note_erased(const std::vector<LedgerDay>& days) {
  return power_.on ? inner_.note_erased(days) : dead();
}
Result<void> GatedReporterStore::forget(WallTime ended_before, WallTime now) {
  return power_.on ? inner_.forget(ended_before, now) : dead();
}

}  // namespace holdfast::simulation
