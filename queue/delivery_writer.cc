#include "queue/delivery_writer.h"

#include <algorithm>

namespace holdfast {
namespace {

// Records written with one apply(): bounds what a failed one repeats.
constexpr std::size_t kRecordsPerBatch = 256;
constexpr Duration kFirstPause = std::chrono::milliseconds(500);
constexpr Duration kLongestPause = std::chrono::seconds(15);

bool repeatable(const Error& error) { return error.is(StoreError::full) || error.is(StoreError::io); }
bool over(const Error& error) {
  return error.is(StoreError::failed_for_good) || error.is(StoreError::closed);
}

}  // namespace

DeliveryWriter::DeliveryWriter(Executor executor, Clock& clock, Store& store, Log& log,
                               OriginObserver* observer, GrantSink& sink)
    : clock_(clock),
      store_(store),
      log_(log),
      observer_(observer),
      sink_(sink),
      group_(executor, [this](std::string what) { log_.error("bug: recording deliveries: " + what); }) {}

void DeliveryWriter::add(DeliveryRecord record) {
  waiting_.push_back(std::move(record));
  if (running_) return;
  running_ = true;  // before: it may run through at once
  if (!group_.spawn(run())) running_ = false;
}

asio::awaitable<void> DeliveryWriter::run() {
  while (!waiting_.empty()) {
    std::vector<DeliveryRecord> records;
    while (!waiting_.empty() && records.size() < kRecordsPerBatch) {
      records.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
    }
    co_await write(std::move(records));
  }
  running_ = false;
}

asio::awaitable<void> DeliveryWriter::write(std::vector<DeliveryRecord> records) {
  Duration pause = kFirstPause;
  for (;;) {
    Batch batch;
    for (const auto& r : records) append(batch, copy_of(r.batch));
    auto result = co_await store_.apply(std::move(batch));
    if (result) {
      written(records, *result);
      co_return;
    }
    const Error error = result.error();
    if (over(error) || group_.stopping()) {
      log_.error("what became of messages could not be recorded: " + error.text());
      co_return;
    }
    if (!repeatable(error)) break;
    log_.warning("recording deliveries waits for the store: " + error.text());
    const bool slept = co_await sleep_for(clock_, pause);
    if (!slept) co_return;
    pause = std::min(pause * 2, kLongestPause);
  }
  // Something in it breaks a rule of the store. The others must not suffer.
  for (auto& record : records) {
    const bool done = co_await write_one(std::move(record));
    if (!done) co_return;
  }
}

asio::awaitable<bool> DeliveryWriter::write_one(DeliveryRecord record) {
  Duration pause = kFirstPause;
  for (;;) {
    auto result = co_await store_.apply(copy_of(record.batch));
    if (result) {
      std::vector<DeliveryRecord> one;
      one.push_back(std::move(record));
      written(one, *result);
      co_return true;
    }
    const Error error = result.error();
    if (over(error) || group_.stopping()) co_return false;
    if (!repeatable(error)) {
      log_.error("the store refuses a result: " + error.text());
      if (record.batch.accept.empty()) co_return true;  // its lease runs out, and it is tried again
      // The recipients' end counts for more than telling of it.
      record.batch.accept.clear();
      continue;
    }
    const bool slept = co_await sleep_for(clock_, pause);
    if (!slept) co_return false;
    pause = std::min(pause * 2, kLongestPause);
  }
}

void DeliveryWriter::written(const std::vector<DeliveryRecord>& records, const ApplyResult& result) {
  std::vector<GrantSink::Settled> settled;
  bool accepted = false;
  for (const auto& record : records) {
    settled.insert(settled.end(), record.settled.begin(), record.settled.end());
    accepted = accepted || !record.batch.accept.empty();
    if (!observer_) continue;
    for (const auto& end : record.ends) {
      const bool stale =
          std::find(result.stale.begin(), result.stale.end(), end.recipient) != result.stale.end();
      if (!stale) observer_->recipient_ended(end.told);
    }
  }
  if (!result.stale.empty()) {
    Fields fields;
    fields.add("recipients", static_cast<std::uint64_t>(result.stale.size()));
    log_.warning("results came after the claim was lost (operator or lease)", fields);
  }
  sink_.settled(std::move(settled));
  if (accepted) sink_.accepted_unclaimed();
}

asio::awaitable<void> DeliveryWriter::drained() { return group_.drained(); }

void DeliveryWriter::give_up() { group_.stop(); }

}  // namespace holdfast
