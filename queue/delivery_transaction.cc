// The part of a DeliveryJob that talks mail: transactions on a session that meets its requirement, and what
// the replies mean for each recipient.
#include <algorithm>
#include <chrono>

#include "queue/delivery_job.h"
#include "smtp/base/base_error.h"
#include "smtp/base/notifier.h"
#include "smtp/wire/content_check.h"
#include "smtp/wire/wire_error.h"

namespace holdfast {
namespace {

// RFC 5321 section 4.5.3.1.8: what every server must take.
constexpr std::size_t kRecipientsPerTransaction = 100;
// A permit is not held longer with further messages: others have a right to it.
constexpr Duration kPermitTime = std::chrono::seconds(30);
// A rate limit is waited out in place for so long at the most.
constexpr Duration kWaitForRate = std::chrono::seconds(2);

bool too_many_recipients(const RecipientResult& r) {
  return r.stage == Stage::rcpt && r.reply.code == 452;  // the session turns a 552 that means this into 452
}

bool is_wire_error(const Error& error) {
  return error.code.category() == EnumCategory<WireError>::instance();
}

// Stored content that breaks the rules of the wire (a bare CR or LF, NUL): no server may get it (RFC 5321
// section 2.3.8). Looked at only when a conversation broke in such terms, which may as well be the peer's
// fault.
asio::awaitable<bool> unsendable(Store& store, QueueId id) {
  auto body = co_await store.open_body(id);
  if (!body) co_return false;
  ContentCheck check;
  for (;;) {
    auto chunk = co_await (*body)->next();
    if (!chunk || chunk->empty()) break;
    check.feed(*chunk);
  }
  check.finish();
  co_return check.violation().has_value();
}

bool damaged(const Error& error) { return error.is(StoreError::damaged) || error.is(StoreError::not_found); }

}  // namespace

// Is there a recipient left that may be offered to an address of this family now?
bool DeliveryJob::any_for(bool v6) const {
  for (const InHand& m : messages_) {
    if (over_ && !m.touched) continue;
    for (const Item& item : m.items)
      if (!item.done && item.answered_at != visit_ && item.only_v6.value_or(v6) == v6) return true;
  }
  return false;
}

std::vector<DeliveryJob::Item*> DeliveryJob::eligible(InHand& message, const Connection& connection) {
  const std::size_t told = connection.session->extensions().rcpt_max;
  const std::size_t most = told == 0 ? kRecipientsPerTransaction : std::min(told, kRecipientsPerTransaction);
  const bool v6 = is_ipv6(connection.key.ip);
  std::vector<Item*> out;
  for (Item& item : message.items) {
    if (item.done || item.answered_at == visit_ || item.only_v6.value_or(v6) != v6) continue;
    out.push_back(&item);
    if (out.size() == most) break;
  }
  return out;
}

asio::awaitable<void> DeliveryJob::serve(Connection& connection) {
  const DeliverySettings& limits = settings().delivery;
  const std::string host = budget_host(connection.key);
  for (InHand& message : messages_) {
    for (;;) {
      if (!message.touched && transactions_ > 0 && context_.clock.now() - started_ > kPermitTime)
        over_ = true;
      if (over_ && !message.touched) break;
      std::vector<Item*> items = eligible(message, connection);
      if (items.empty()) break;
      if (ConnectionPool::spent(connection, limits.messages_per_connection)) co_return;
      SteadyTime at{};
      while (!context_.budget.take_message(host, limits, context_.clock.now(), at)) {
        if (at - context_.clock.now() > kWaitForRate) {
          over_ = true;
          rate_limited_ = true;
          co_return;
        }
        const bool slept = co_await sleep_until(context_.clock, at);
        if (!slept) {
          cancelled_ = true;
          co_return;
        }
      }
      message.touched = true;
      co_await transaction(connection, message, std::move(items));
      co_await record(message);
      if (cancelled_ || !connection.session->usable()) co_return;
    }
  }
}

asio::awaitable<void> DeliveryJob::transaction(Connection& connection, InHand& message,
                                               std::vector<Item*> items) {
  const MessageMeta& meta = *message.meta;
  auto body = co_await context_.store.open_body(meta.id);
  if (!body) {
    co_await look_for_cancellation();
    if (cancelled_) co_return;
    if (damaged(body.error())) {
      set_aside(message, body.error());
      co_return;
    }
    for (Item* item : items)
      settle(message, *item,
             own_verdict(Verdict::Kind::temporary, "4.3.0", "reading the message: " + body.error().text()));
    co_return;
  }
  const std::uint64_t size = (*body)->size();
  OutgoingMessage out;
  std::vector<Item*> going;
  for (Item* item : items) {
    // The extensions are those after TLS, where the requirement asks for TLS.
    if (auto v = unmet_extension(meta, item->recipient.address, size, connection.session->extensions())) {
      v->mx = connection.key.mx;
      v->ip = ip_text(connection.key.ip);
      v->tls = tls_now_;
      item->answered_at = visit_;
      ++answers_;
      reached_ = true;
      refuse_unless_taken(*item, std::move(*v), false);
      continue;
    }
    OutgoingRecipient recipient;
    recipient.address = item->recipient.address;
    recipient.dsn = item->recipient.dsn;
    out.recipients.push_back(std::move(recipient));
    out.smtputf8 = out.smtputf8 || needs_smtputf8(meta, item->recipient.address);
    going.push_back(item);
  }
  if (going.empty()) co_return;
  out.reverse_path = meta.reverse_path;
  out.envelope_id = meta.envelope_id;
  out.dsn_return = meta.dsn_return;
  out.body = meta.body_type;
  out.requiretls = tls_.requiretls;
  out.size = size;

  const SteadyTime began = context_.clock.now();
  TransactionResult result = co_await connection.session->send(std::move(out), **body);
  ++connection.messages;
  ++transactions_;
  metrics_.duration().observe(std::chrono::duration<double>(context_.clock.now() - began).count());
  if (result.broken && damaged(*result.broken)) {
    connection.session->close();
    set_aside(message, *result.broken);
    co_return;
  }
  if (result.broken && connection.session->usable()) {
    // Nothing was said: the message holds what this server cannot be told.
    for (Item* item : going) {
      Verdict v = own_verdict(Verdict::Kind::permanent, "5.5.4", result.broken->text());
      v.mx = connection.key.mx;
      v.stage = name(Stage::mail);
      item->answered_at = visit_;
      ++answers_;
      reached_ = true;
      refuse_unless_taken(*item, std::move(v), false);
    }
    co_return;
  }
  bool never = false;
  if (result.broken && !result.in_doubt && is_wire_error(*result.broken)) {
    never = co_await unsendable(context_.store, meta.id);
  }
  if (never) {
    for (Item* item : going)
      settle(message, *item,
             own_verdict(Verdict::Kind::permanent, "5.6.0",
                         "the content cannot be sent: " + result.broken->text()));
    co_return;
  }
  result.recipients.resize(going.size());
  const bool any_taken =
      std::any_of(result.recipients.begin(), result.recipients.end(),
                  [](const RecipientResult& r) { return r.stage != Stage::rcpt || r.reply.accepted(); });
  bool taken_before = false;
  bool all_well = true;
  for (std::size_t i = 0; i < going.size(); ++i) {
    const RecipientResult& r = result.recipients[i];
    if (r.reply.code == 0) {
      unanswered(connection, message, *going[i], result);
    } else {
      answer(connection, message, *going[i], r, taken_before, any_taken);
    }
    taken_before = taken_before || r.stage != Stage::rcpt || r.reply.accepted();
    all_well = all_well && r.reply.accepted();
  }
  if (!all_well) remember_attempt(message, connection, result.broken ? result.broken->text() : "");
}

// What a reply means for a recipient.
void DeliveryJob::answer(const Connection& connection, InHand& message, Item& item,
                         const RecipientResult& result, bool taken_before, bool any_taken) {
  Verdict v = verdict_of(result);
  v.mx = connection.key.mx;
  v.ip = ip_text(connection.key.ip);
  v.tls = tls_now_;
  v.next_hop_speaks_dsn = connection.session->extensions().dsn;
  ++answers_;
  reached_ = true;
  last_reply_ = v.text;
  if (v.throttle) {
    throttled_ = true;
    context_.budget.slow_down(budget_host(connection.key), settings().delivery, context_.clock.now());
  }
  if (v.kind == Verdict::Kind::delivered) return settle(message, item, std::move(v));

  // The rest of the recipients, once more in a transaction of their own (RFC 5321 section 4.5.3.1.10).
  if (too_many_recipients(result) && taken_before && any_taken) return;

  if (v.kind == Verdict::Kind::permanent && connection.clear_fallback && result.stage == Stage::mail) {
    // "Must issue STARTTLS first", said to a connection that went on in clear after TLS failed: TLS may work
    // next time.
    v.kind = Verdict::Kind::temporary;
    v.status = "4.7.0";
  }
  if (v.kind == Verdict::Kind::temporary) {
    item.answered_at = visit_;
    if (v.code == 421) return note(std::move(v));  // it closes; another MX may take the message now
    return settle(message, item, std::move(v));
  }
  const auto enhanced = result.reply.enhanced();
  if (enhanced && enhanced->subject == 7 && !item.only_v6 && other_family_left(connection)) {
    // Many sites trust one family less than the other: ask the other before the bounce.
    item.only_v6 = !is_ipv6(connection.key.ip);
    return refuse_unless_taken(item, std::move(v), false);
  }
  settle(message, item, std::move(v));
}

// The connection broke before the recipient was answered.
void DeliveryJob::unanswered(const Connection& connection, InHand& message, Item& item,
                             const TransactionResult& result) {
  const Error error = result.broken ? *result.broken : Error(BaseError::closed, "no answer");
  Verdict v = result.in_doubt ? in_doubt(error) : broken_session(error, Stage::body);
  v.mx = connection.key.mx;
  v.ip = ip_text(connection.key.ip);
  v.tls = tls_now_;
  last_reply_ = v.text;
  if (result.in_doubt) {
    // It may have been taken: asking another MX at once would likely deliver it twice (invariant 8).
    reached_ = true;
    ++answers_;
    return settle(message, item, std::move(v));
  }
  note(std::move(v));
}

bool DeliveryJob::other_family_left(const Connection& connection) const {
  if (!candidates_) return false;
  const bool v6 = is_ipv6(connection.key.ip);
  return std::any_of(candidates_->begin(), candidates_->end(),
                     [&](const Candidate& c) { return is_ipv6(c.ip) != v6; });
}

}  // namespace holdfast
