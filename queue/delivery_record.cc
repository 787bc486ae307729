#include "queue/delivery_record.h"

#include <algorithm>
#include <chrono>
#include <map>

#include "queue/retry_schedule.h"

namespace holdfast {
namespace {

// Addresses named in one history entry; the rest is counted.
constexpr std::size_t kAddressesInHistory = 20;

bool notice_due(const MessageMeta& meta, const Ending& ending, WallTime now, const Settings& settings) {
  // Given back without a reason: the relay stops, which is nothing to tell a sender.
  if (ending.fate != Fate::deferred && (ending.fate != Fate::given_back || ending.verdict.text.empty()))
    return false;
  return !ending.recipient.delay_notice_sent &&
         delay_notice_due(meta.due_since(), now, settings.delivery.delay_notice_after) && now < meta.expires;
}

// RFC 3461 section 5.2.2: success was asked for, and the next hop will not tell.
bool relayed_due(const Ending& ending) {
  return ending.fate == Fate::delivered && (ending.recipient.dsn.notify & kNotifySuccess) != 0 &&
         !ending.verdict.next_hop_speaks_dsn;
}

bool failed(const Ending& ending) { return ending.fate == Fate::bounced || ending.fate == Fate::expired; }

RecipientState end_state(Fate fate) {
  switch (fate) {
    case Fate::delivered: return RecipientState::delivered;
    case Fate::bounced: return RecipientState::bounced;
    case Fate::expired: return RecipientState::expired;
    case Fate::damaged:
    case Fate::deferred:
    case Fate::given_back: break;
  }
  return RecipientState::damaged;
}

std::string where(const Verdict& v) {
  if (v.mx.empty()) return v.ip;
  return v.ip.empty() ? v.mx : v.mx + " [" + v.ip + "]";
}

DsnRecipient dsn_recipient(const Ending& ending, WallTime now) {
  const Verdict& v = ending.verdict;
  DsnRecipient r;
  r.address = ending.recipient.address;
  r.dsn = ending.recipient.dsn;
  r.status = v.status;
  if (v.code != 0) r.diagnostic = "smtp; " + v.text;
  r.remote_mta = v.mx;
  r.explanation = v.explanation.empty() ? v.text : v.explanation;
  r.policy = v.policy_field;
  r.last_attempt = now;
  return r;
}

void add_dsn(Batch& batch, DsnKind kind, std::vector<DsnRecipient> recipients, const RecordRequest& request,
             Random& random) {
  if (recipients.empty()) return;
  DsnRequest dsn;
  dsn.kind = kind;
  dsn.original = request.meta;
  dsn.original_header = request.header;
  dsn.recipients = std::move(recipients);
  dsn.hostname = request.settings->hostname;
  dsn.postmaster = request.settings->postmaster;
  dsn.now = request.now;
  dsn.will_retry_until = request.meta->expires;
  dsn.bounce_expire = request.settings->queue.bounce_expire;
  if (auto accept = build_dsn(dsn, random)) batch.accept.push_back(std::move(*accept));
}

void add_history(Batch& batch, const RecordRequest& request) {
  // One entry for all recipients that ended the same way by the same words.
  std::map<std::pair<Fate, std::string>, std::vector<const Ending*>> groups;
  for (const Ending& e : request.endings)
    if (e.fate != Fate::given_back) groups[{e.fate, e.verdict.text}].push_back(&e);
  for (const auto& [key, endings] : groups) {
    const Verdict& v = endings.front()->verdict;
    std::string to;
    for (std::size_t i = 0; i < std::min(endings.size(), kAddressesInHistory); ++i)
      to += (to.empty() ? "" : " ") + endings[i]->recipient.address.text();
    Fields fields;
    fields.add("to", to).add("recipients", static_cast<std::uint64_t>(endings.size()));
    fields.add("attempt", endings.front()->recipient.attempts + 1);
    if (!v.mx.empty()) fields.add("mx", v.mx);
    if (!v.ip.empty()) fields.add("ip", v.ip);
    if (v.tls) add_tls(fields, *v.tls);
    if (v.tls) add_chain(fields, *v.tls, 1);
    if (v.code != 0) fields.add("code", v.code);
    fields.add("enhanced", v.status).add("reply", v.text).add("stage", v.stage);
    HistoryEntry entry;
    entry.message = request.meta->id;
    entry.at = request.now;
    entry.event = name(key.first);
    entry.detail = "{" + fields.json() + "}";
    batch.history.push_back(std::move(entry));
  }
}

}  // namespace

Ending ending_of(const MessageMeta& meta, ClaimToken token, ClaimedRecipient recipient, Verdict verdict,
                 WallTime now, const Settings& settings, Random& random) {
  Ending e;
  e.token = token;
  e.fate = fate_of(verdict, meta.expires, now);
  if (e.fate == Fate::expired) verdict = expired_verdict(meta, std::move(verdict));
  if (e.fate == Fate::deferred)
    e.next_attempt = next_attempt(settings.delivery.retry, recipient.attempts + 1, now, meta.expires, random);
  e.recipient = std::move(recipient);
  e.verdict = std::move(verdict);
  return e;
}

bool needs_header(const MessageMeta& meta, const std::vector<Ending>& endings, WallTime now,
                  const Settings& settings) {
  return std::any_of(endings.begin(), endings.end(), [&](const Ending& e) {
    return failed(e) || relayed_due(e) || notice_due(meta, e, now, settings);
  });
}

Verdict expired_verdict(const MessageMeta& meta, Verdict last) {
  const auto waited = std::chrono::duration_cast<std::chrono::hours>(meta.expires - meta.due_since()).count();
  const std::string span =
      waited >= 48 ? std::to_string(waited / 24) + " days" : std::to_string(waited) + " hours";
  last.explanation = "The message could not be delivered within " + span +
                     ". The last obstacle: " + (last.explanation.empty() ? last.text : last.explanation);
  last.text = sanitise("expired: " + last.text);
  last.status = meta.tls.requiretls && last.policy ? "5.7.10" : "4.4.7";
  return last;
}

DeliveryRecord build_record(RecordRequest request, Random& random) {
  DeliveryRecord record;
  Batch& batch = record.batch;
  std::vector<DsnRecipient> failures, delays, relays;
  std::map<ClaimToken, GrantSink::Settled> settled;
  for (Ending& e : request.endings) {
    GrantSink::Settled& token = settled[e.token];
    token.token = e.token;
    ++token.recipients;
    if (e.fate == Fate::deferred || e.fate == Fate::given_back) {
      token.next = token.next ? std::min(*token.next, e.next_attempt) : e.next_attempt;
      Defer defer;
      defer.recipient = e.recipient.id;
      defer.token = e.token;
      defer.next_attempt = e.next_attempt;
      defer.count_attempt = e.fate == Fate::deferred;
      defer.reason = e.verdict.text;
      defer.policy = e.verdict.policy;
      if (notice_due(*request.meta, e, request.now, *request.settings)) {
        defer.delay_notice_sent = true;
        delays.push_back(dsn_recipient(e, request.now));
      }
      batch.defer.push_back(std::move(defer));
      continue;
    }
    if (failed(e)) failures.push_back(dsn_recipient(e, request.now));
    if (relayed_due(e)) relays.push_back(dsn_recipient(e, request.now));
    Complete complete;
    complete.recipient = e.recipient.id;
    complete.token = e.token;
    complete.state = end_state(e.fate);
    complete.reply = e.verdict.text;
    complete.mx = where(e.verdict);
    batch.complete.push_back(std::move(complete));
    if (e.fate == Fate::damaged) continue;  // set aside: the operator has yet to end it
    DeliveryRecord::End end;
    end.recipient = e.recipient.id;
    end.told.id = request.meta->id;
    end.told.origin = request.meta->origin;
    end.told.idempotency_key = request.meta->idempotency_key;
    end.told.recipient = e.recipient.address.text();
    end.told.how = e.fate == Fate::delivered ? RecipientEnd::How::delivered : RecipientEnd::How::bounced;
    end.told.reason = e.verdict.text;
    record.ends.push_back(std::move(end));
  }
  add_dsn(batch, DsnKind::failed, std::move(failures), request, random);
  add_dsn(batch, DsnKind::delayed, std::move(delays), request, random);
  add_dsn(batch, DsnKind::relayed, std::move(relays), request, random);
  batch.history = request.history;
  add_history(batch, request);
  for (const auto& [token, s] : settled) record.settled.push_back(s);
  batch.refuse_if_stale = !batch.accept.empty();
  if (!batch.refuse_if_stale) request.header.clear();  // only notifications need it
  record.request = std::move(request);
  return record;
}

RecordRequest without(RecordRequest request, const std::vector<RecipientId>& stale) {
  std::erase_if(request.endings, [&](const Ending& e) {
    return std::find(stale.begin(), stale.end(), e.recipient.id) != stale.end();
  });
  return request;
}

void add_chain(Fields& fields, const TlsSummary& tls, std::size_t most) {
  std::string chain;
  for (std::size_t i = 0; i < std::min(tls.chain.size(), most); ++i) chain += tls.chain[i] + "\n";
  if (!chain.empty()) fields.add("chain", chain);
}

void add_tls(Fields& fields, const TlsSummary& tls) {
  Fields object;
  if (!tls.version.empty()) object.add("version", tls.version).add("cipher", tls.cipher);
  object.add("policy", tls.policy).add("mode", tls.mode).add("result", tls.result);
  fields.add("tls", object);
}

namespace {

Fields fields_of(const MessageMeta& meta, const Ending& ending) {
  const Verdict& v = ending.verdict;
  Fields f;
  f.add("msg", meta.id.text());
  if (!meta.user.empty()) f.add("user", meta.user);
  f.add_address("from", meta.reverse_path.empty() ? "" : meta.reverse_path.text());
  f.add_address("to", ending.recipient.address.text());
  f.add("size", meta.prefix_size + meta.body_size);
  f.add("attempt", ending.recipient.attempts + (ending.fate == Fate::given_back ? 0U : 1U));
  if (ending.fate == Fate::deferred || ending.fate == Fate::given_back) {
    f.add("next",
          std::chrono::duration_cast<std::chrono::seconds>(ending.next_attempt.time_since_epoch()).count());
  }
  if (!v.mx.empty()) f.add("mx", v.mx);
  if (!v.ip.empty()) f.add("ip", v.ip);
  if (v.tls) add_tls(f, *v.tls);
  if (v.code != 0) f.add("code", v.code);
  f.add("enhanced", v.status).add("reply", v.text);
  if (!v.stage.empty()) f.add("stage", v.stage);
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(ending.took);
  f.add("ms", static_cast<std::int64_t>(took.count()));
  return f;
}

}  // namespace

void log_ending(Log& log, const MessageMeta& meta, const Ending& ending) {
  if (ending.fate == Fate::given_back) return;
  const Fields f = fields_of(meta, ending);
  if (ending.fate == Fate::damaged) {
    log.error("a damaged message of the queue is set aside", f);
    return;
  }
  log.event(name(ending.fate), f);
}

void log_unrecorded(Log& log, const MessageMeta& meta, const Ending& ending, const std::string& why) {
  if (ending.fate == Fate::given_back) return;
  Fields f = fields_of(meta, ending);
  f.add("result", name(ending.fate));
  log.warning(why, f);
}

Accept copy_of(const Accept& accept) {
  Accept copy;
  copy.meta = accept.meta;
  copy.prefix = accept.prefix;
  copy.body_of = accept.body_of;
  copy.suffix = accept.suffix;
  copy.recipients = accept.recipients;
  copy.claim = accept.claim;
  return copy;
}

Batch copy_of(const Batch& batch) {
  Batch copy;
  for (const Accept& a : batch.accept) copy.accept.push_back(copy_of(a));
  copy.complete = batch.complete;
  copy.defer = batch.defer;
  copy.history = batch.history;
  copy.changes = batch.changes;
  copy.refuse_if_stale = batch.refuse_if_stale;
  return copy;
}

void append(Batch& to, Batch from) {
  std::move(from.accept.begin(), from.accept.end(), std::back_inserter(to.accept));
  std::move(from.complete.begin(), from.complete.end(), std::back_inserter(to.complete));
  std::move(from.defer.begin(), from.defer.end(), std::back_inserter(to.defer));
  std::move(from.history.begin(), from.history.end(), std::back_inserter(to.history));
  std::move(from.changes.begin(), from.changes.end(), std::back_inserter(to.changes));
  to.refuse_if_stale = to.refuse_if_stale || from.refuse_if_stale;
}

}  // namespace holdfast
