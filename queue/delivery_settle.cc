// The part of a DeliveryJob that settles recipients: endings, what is written of them, and the reason that is
// told where no server took or refused one.
#include <algorithm>
#include <chrono>

#include "queue/delivery_job.h"
#include "queue/delivery_sign.h"
#include "queue/retry_schedule.h"

namespace holdfast {
namespace {

// How long past its expiry a message may wait for one of the connections that its MX allows.
constexpr std::chrono::minutes kLastWait{5};

}  // namespace

void DeliveryJob::refuse_unless_taken(Item& item, Verdict verdict, bool needs_all) {
  if (item.fallback && !item.fallback_needs_all) return;  // the first definite refusal stays
  item.fallback = std::move(verdict);
  item.fallback_needs_all = needs_all;
}

void DeliveryJob::settle(InHand& message, Item& item, Verdict verdict) {
  item.done = true;
  const WallTime now = context_.timeline.now();
  const bool delivered = verdict.kind == Verdict::Kind::delivered;
  const std::string policy = verdict.tls ? verdict.tls->policy : "none";
  Ending e = ending_of(*message.meta, item.token, item.recipient, std::move(verdict), now, settings(),
                       context_.random);
  metrics_.attempts(name(e.fate), policy).add();
  if (delivered) {
    metrics_.delay().observe(std::chrono::duration<double>(now - message.meta->accepted).count());
  }
  e.took = context_.clock.now() - started_;
  message.endings.push_back(std::move(e));
}

void DeliveryJob::set_aside(InHand& message, const Error& error) {
  Verdict v =
      own_verdict(Verdict::Kind::damaged, "4.3.0", "the stored message cannot be read: " + error.text());
  for (Item& item : message.items)
    if (!item.done) settle(message, item, v);
}

void DeliveryJob::remember_attempt(InHand& message, const Connection& connection, const std::string& what) {
  Fields detail;
  detail.add("mx", connection.key.mx).add("ip", ip_text(connection.key.ip));
  if (tls_now_) add_tls(detail, *tls_now_);
  if (tls_now_) add_chain(detail, *tls_now_, kCertificatesInHistory);
  if (!what.empty()) detail.add("reply", sanitise(what));
  std::string transcript;
  for (const auto& line : connection.session->transcript()) transcript += line + "\n";
  detail.add("transcript", transcript);
  HistoryEntry entry;
  entry.message = message.meta->id;
  entry.at = context_.timeline.now();
  entry.event = "attempt";
  entry.detail = "{" + detail.json() + "}";
  message.history.push_back(std::move(entry));
}

asio::awaitable<void> DeliveryJob::record(InHand& message) {
  const WallTime now = context_.timeline.now();
  RecordRequest request;
  if (done(message)) {
    request.endings = std::move(message.endings);
    message.endings.clear();
    request.history = std::move(message.history);
    message.history.clear();
  } else {
    // Taken recipients are recorded at once: the less may be sent twice after a crash.
    auto& all = message.endings;
    const auto ready = std::stable_partition(all.begin(), all.end(), [&](const Ending& e) {
      std::vector<Ending> one;
      one.push_back(e);
      return e.fate != Fate::delivered || needs_header(*message.meta, one, now, settings());
    });
    request.endings.assign(std::make_move_iterator(ready), std::make_move_iterator(all.end()));
    all.erase(ready, all.end());
  }
  if (request.endings.empty()) co_return;
  request.meta = message.meta;
  request.settings = grant_.settings;
  request.now = now;
  if (needs_header(*message.meta, request.endings, now, settings())) {
    auto header = co_await context_.store.read_header(message.meta->id);
    if (header) {
      request.header = std::move(*header);
    } else {
      context_.log.warning("the header of " + message.meta->id.text() +
                           " cannot be quoted: " + header.error().text());
    }
  }
  DeliveryRecord made = build_record(std::move(request), context_.random);
  if (!made.batch.accept.empty()) {
    made = co_await sign_notifications(context_, std::move(made), message.meta, grant_.settings, now);
  }
  writer_.add(std::move(made));
}

// Waiting for so long that the sender is to be told.
bool DeliveryJob::notice_owed(const InHand& message, WallTime now) const {
  return message.meta->expires > now &&
         delay_notice_due(message.meta->due_since(), now, settings().delivery.delay_notice_after) &&
         std::any_of(message.items.begin(), message.items.end(),
                     [](const Item& item) { return !item.done && !item.recipient.delay_notice_sent; });
}

// Untried, due at once, with the reason.
void DeliveryJob::give_back(InHand& message) {
  const WallTime now = context_.timeline.now();
  for (Item& item : message.items) {
    if (item.done) continue;
    item.done = true;
    Ending e =
        ending_of(*message.meta, item.token, item.recipient, best_note(), now, settings(), context_.random);
    e.fate = Fate::given_back;
    e.next_attempt = now;
    message.endings.push_back(std::move(e));
  }
}

// What nobody took or refused for good.
asio::awaitable<void> DeliveryJob::settle_rest() {
  const bool busy = !busy_mx_.empty();
  const WallTime now = context_.timeline.now();
  for (InHand& message : messages_) {
    // Goes back untried. Not what some server has refused already: it would be asked again and again while
    // another is busy.
    const bool asked =
        message.touched || std::any_of(message.items.begin(), message.items.end(),
                                       [](const Item& item) { return item.fallback.has_value(); });
    if (!message.touched && over_) continue;
    const bool waits = !asked && busy && !done(message) && notes_.empty();
    // The last attempt comes when the time is over, and has a while to find a connection.
    if (waits && message.meta->expires + kLastWait > now) {
      if (!notice_owed(message, now)) continue;
      give_back(message);
    }
    for (Item& item : message.items) {
      if (item.done) continue;
      const bool all_asked = notes_.empty() && !busy;
      const bool counts =
          item.fallback && (!item.fallback_needs_all || all_asked || message.meta->expires <= now);
      Verdict verdict;
      if (counts) {
        verdict = std::move(*item.fallback);
      } else {
        verdict = best_note();
      }
      settle(message, item, std::move(verdict));
    }
    co_await record(message);
  }
}

void DeliveryJob::note(Verdict verdict) {
  last_reply_ = verdict.text;
  notes_.push_back(std::move(verdict));
}

// The reason that tells most: policy first, then what a server said or did last.
Verdict DeliveryJob::best_note() const {
  for (const Verdict& v : notes_)
    if (v.policy) return v;
  if (!notes_.empty()) return notes_.back();
  if (!busy_mx_.empty())
    return own_verdict(Verdict::Kind::temporary, "4.4.5",
                       "all connections that " + busy_mx_ + " is allowed are in use");
  return own_verdict(Verdict::Kind::temporary, "4.4.1", "no mail server could be reached");
}

}  // namespace holdfast
