#include "queue/delivery_writer.h"

#include <algorithm>
#include <set>

#include "queue/delivery_sign.h"

namespace holdfast {
namespace {

// Records written with one apply(): bounds what a failed one repeats.
constexpr std::size_t kRecordsPerBatch = 256;
constexpr Duration kFirstPause = std::chrono::milliseconds(500);
constexpr Duration kLongestPause = std::chrono::seconds(15);
constexpr const char* kStale = "a result came after its claim was lost (operator or lease)";

bool repeatable(const Error& error) {
  return error.is(StoreError::full) || error.is(StoreError::io) || error.is(StoreError::conflict);
}
// The fault may lie in what the record says, not in the store.
bool of_the_record(const Error& error) {
  return error.is(StoreError::rejected) || error.is(StoreError::not_found);
}
bool over(const Error& error) {
  return error.is(StoreError::failed_for_good) || error.is(StoreError::closed);
}

// False when the record speaks of a recipient that is among those `seen`; else they are added.
bool add_new(std::set<RecipientId>& seen, const DeliveryRecord& record) {
  for (const Ending& e : record.request.endings)
    if (seen.contains(e.recipient.id)) return false;
  for (const Ending& e : record.request.endings) seen.insert(e.recipient.id);
  return true;
}

}  // namespace

DeliveryWriter::DeliveryWriter(const DeliveryContext& context, GrantSink& sink)
    : context_(context), sink_(sink), group_(context.executor, [this](std::string what) {
        context_.log.error("bug: recording deliveries: " + what);
      }) {}

void DeliveryWriter::add(DeliveryRecord record) {
  waiting_.push_back(std::move(record));
  if (running_) return;
  running_ = true;  // before: it may run through at once
  if (!group_.spawn(run())) running_ = false;
}

asio::awaitable<void> DeliveryWriter::run() {
  while (!waiting_.empty()) {
    std::vector<DeliveryRecord> records;
    std::set<RecipientId> seen;  // the store names what is stale by its recipient: each once in a batch
    while (!waiting_.empty() && records.size() < kRecordsPerBatch && add_new(seen, waiting_.front())) {
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
    auto result = co_await context_.store.apply(std::move(batch));
    if (result && !result->refused) {
      written(records, *result);
      co_return;
    }
    if (result) break;
    const Error error = result.error();
    if (over(error) || group_.stopping()) {
      lost(records, error);
      co_return;
    }
    if (!repeatable(error)) break;
    context_.log.warning("recording deliveries waits for the store: " + error.text());
    const bool slept = co_await sleep_for(context_.clock, pause);
    if (!slept) {
      lost(records, error);
      co_return;
    }
    pause = std::min(pause * 2, kLongestPause);
  }
  // Something in it breaks a rule of the store, or is no longer ours to end. The others must not suffer.
  for (auto& record : records) {
    const bool done = co_await write_one(std::move(record));
    if (!done) co_return;
  }
}

asio::awaitable<bool> DeliveryWriter::write_one(DeliveryRecord record) {
  Duration pause = kFirstPause;
  for (;;) {
    auto result = co_await context_.store.apply(copy_of(record.batch));
    if (result && result->refused) {
      DeliveryRecord rest = co_await anew(std::move(record), std::move(result->stale));
      record = std::move(rest);
      continue;
    }
    std::vector<DeliveryRecord> one;
    if (result) {
      one.push_back(std::move(record));
      written(one, *result);
      co_return true;
    }
    const Error error = result.error();
    bool give_up = over(error) || group_.stopping();
    if (!give_up && !repeatable(error)) {
      if (record.batch.accept.empty() || !of_the_record(error)) {
        refused(std::move(record), error);
        co_return true;
      }
      // The recipients' end counts for more than telling of it.
      context_.log.error("the store refuses a notification, and it is left out: " + error.text());
      record.batch.accept.clear();
      record.batch.refuse_if_stale = false;
      continue;
    }
    if (!give_up) {
      const bool slept = co_await sleep_for(context_.clock, pause);
      give_up = !slept;
    }
    if (give_up) {
      one.push_back(std::move(record));
      lost(one, error);
      co_return false;
    }
    pause = std::min(pause * 2, kLongestPause);
  }
}

// Without the recipients that somebody else has by now; each round of write_one() has fewer.
asio::awaitable<DeliveryRecord> DeliveryWriter::anew(DeliveryRecord record, std::vector<RecipientId> stale) {
  for (const Ending& e : record.request.endings)
    if (std::find(stale.begin(), stale.end(), e.recipient.id) != stale.end())
      log_unrecorded(context_.log, *record.request.meta, e, kStale);
  RecordRequest rest = without(std::move(record.request), stale);
  const auto meta = rest.meta;
  const SettingsPtr settings = rest.settings;
  const WallTime now = rest.now;
  DeliveryRecord made = build_record(std::move(rest), context_.random);
  if (!made.batch.accept.empty())
    made = co_await sign_notifications(context_, std::move(made), meta, settings, now);
  made.settled = std::move(record.settled);  // none of them is in hand any more
  co_return made;
}

void DeliveryWriter::written(const std::vector<DeliveryRecord>& records, const ApplyResult& result) {
  const std::set<RecipientId> stale(result.stale.begin(), result.stale.end());
  std::vector<GrantSink::Settled> settled;
  bool accepted = false;
  for (const auto& record : records) {
    settled.insert(settled.end(), record.settled.begin(), record.settled.end());
    accepted = accepted || !record.batch.accept.empty();
    for (const Ending& e : record.request.endings) {
      if (stale.contains(e.recipient.id)) {
        log_unrecorded(context_.log, *record.request.meta, e, kStale);
      } else {
        log_ending(context_.log, *record.request.meta, e);
      }
    }
    if (!context_.observer) continue;
    for (const auto& end : record.ends)
      if (!stale.contains(end.recipient)) context_.observer->recipient_ended(end.told);
  }
  sink_.settled(std::move(settled));
  if (accepted) sink_.accepted_unclaimed();
}

void DeliveryWriter::lost(const std::vector<DeliveryRecord>& records, const Error& error) {
  const std::string why = "what became of a message could not be recorded: " + error.text();
  for (const auto& record : records)
    for (const Ending& e : record.request.endings) log_unrecorded(context_.log, *record.request.meta, e, why);
  if (context_.store.failed()) sink_.store_failed();
}

// What was delivered must not be tried again: it stays claimed, where the operator sees it, and makes room
// for other work. What was not is tried again when its lease has run out.
void DeliveryWriter::refused(DeliveryRecord record, const Error& error) {
  const auto& endings = record.request.endings;
  const bool keep =
      std::any_of(endings.begin(), endings.end(), [](const Ending& e) { return e.fate == Fate::delivered; });
  const std::string why = "the store refuses the result of a delivery, " +
                          std::string(keep ? "and the message stays in hand until a restart: "
                                           : "which is tried again in some minutes: ") +
                          error.text();
  context_.log.error(record.request.meta->id.text() + ": " + why);
  for (const Ending& e : endings) log_unrecorded(context_.log, *record.request.meta, e, why);
  for (auto& s : record.settled) {
    s.unrecorded = keep;
    s.next.reset();
  }
  sink_.settled(std::move(record.settled));
}

asio::awaitable<void> DeliveryWriter::drained() { return group_.drained(); }

void DeliveryWriter::give_up() { group_.stop(); }

}  // namespace holdfast
