#include "queue/delivery_job.h"

#include <algorithm>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/this_coro.hpp>
#include <chrono>

#include "queue/delivery_outcome.h"
#include "smtp/base/notifier.h"

namespace holdfast {
namespace {

// RFC 8461 does not bound it: an unknown policy holds a message up for so long.
constexpr Duration kUnknownPolicyWait = std::chrono::minutes(30);

}  // namespace

DeliveryJob::DeliveryJob(const DeliveryContext& context, ConnectionPool& pool, DeadAddresses& dead,
                         DeliveryMetrics& metrics, DeliveryWriter& writer, Grant grant)
    : context_(context),
      pool_(pool),
      dead_(dead),
      metrics_(metrics),
      writer_(writer),
      grant_(std::move(grant)) {
  // Claims of one message at several domains of a route travel in one transaction.
  for (Claim& claim : grant_.claims) {
    auto found = std::find_if(messages_.begin(), messages_.end(),
                              [&](const InHand& m) { return m.meta->id == claim.meta->id; });
    if (found == messages_.end()) {
      found = messages_.emplace(messages_.end());
      found->meta = claim.meta;
    }
    for (ClaimedRecipient& r : claim.recipients) {
      Item item;
      item.token = claim.token;
      item.recipient = std::move(r);
      item.domain = claim.domain;
      found->items.push_back(std::move(item));
    }
    claim.recipients.clear();
    found->claims.push_back(std::move(claim));
  }
  grant_.claims.clear();
  if (!messages_.empty()) tls_ = messages_.front().meta->tls;
  if (tls_.requiretls) tls_.tls_required_no = false;
}

asio::awaitable<GrantReport> DeliveryJob::run() {
  started_ = context_.clock.now();
  const WallTime now = context_.timeline.now();
  // What ends with this attempt is not to fail by a policy that is no longer the domain's.
  fresh_ = std::any_of(messages_.begin(), messages_.end(),
                       [&](const InHand& m) { return m.meta->expires <= now; });
  const std::vector<Hop> all = hops_of(grant_.route.get(), grant_.domain, settings());
  for (;;) {
    for (const Hop& hop : all) {
      if (!pending() || cancelled_) break;
      co_await try_hop(hop);
      co_await look_for_cancellation();
    }
    if (cancelled_ || !wants_fresh_plan()) break;
    fresh_ = true;
    for (InHand& m : messages_)
      for (Item& item : m.items)
        if (item.fallback_needs_all) item.fallback.reset();
  }
  // What is known by now is recorded whatever comes: a cancellation ends attempts, not their results.
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  if (!cancelled_) co_await settle_rest();
  GrantReport report;
  report.unfinished = unfinished();
  for (InHand& m : messages_) co_await record(m);
  report.reply = last_reply_;
  if (cancelled_) {
    report.how = GrantReport::How::aborted;
  } else if (rate_limited_ && !report.unfinished.empty()) {
    report.how = GrantReport::How::busy;
  } else if (!reached_ && notes_.empty() && !busy_mx_.empty()) {
    report.how = GrantReport::How::busy;  // also when nothing is left: nobody was asked
    report.busy_mx = busy_mx_;
    report.total_reached = total_reached_;
  } else if (reached_) {
    report.how = throttled_ ? GrantReport::How::throttled : GrantReport::How::reached;
  } else if (!report.unfinished.empty() && !busy_mx_.empty()) {
    report.how = GrantReport::How::busy;
    report.busy_mx = busy_mx_;
    report.total_reached = total_reached_;
  } else if (!notes_.empty()) {
    const Verdict why = best_note();
    report.how = GrantReport::How::failed;
    report.reply = why.text;
    report.policy = why.policy;
  }
  co_return report;
}

PlanRequest DeliveryJob::request_for(const Hop& hop, MxSet mx) const {
  PlanRequest request = plan_request(settings(), grant_.route.get(), hop, std::move(mx));
  request.message = tls_;
  request.now = context_.clock.wall();
  request.fresh = fresh_;
  const WallTime now = context_.timeline.now();
  Duration youngest = Duration::max();
  for (const InHand& m : messages_)
    if (!done(m)) youngest = std::min(youngest, Duration(now - m.meta->due_since()));
  request.message_age = youngest;
  return request;
}

// The planner's word on the hop, once more where only some messages may go on; nullopt: nothing goes on now.
asio::awaitable<std::optional<TlsPlan>> DeliveryJob::plan_hop(Hop hop, MxSet mx) {
  PlanRequest request = request_for(hop, mx);
  TlsPlan plan = co_await plan_for(context_.planner, hop, std::move(request));
  co_await look_for_cancellation();
  if (cancelled_) co_return std::nullopt;
  if (!plan.must_wait) co_return plan;
  defer_young(plan);
  if (!pending()) co_return std::nullopt;
  PlanRequest again = request_for(hop, std::move(mx));
  plan = co_await plan_for(context_.planner, hop, std::move(again));
  co_await look_for_cancellation();
  if (cancelled_) co_return std::nullopt;
  if (!plan.must_wait) co_return plan;
  Verdict v = own_verdict(Verdict::Kind::temporary, "4.4.3", plan.why);
  v.policy = true;
  note(std::move(v));
  co_return std::nullopt;
}

// DNS leads nowhere.
void DeliveryJob::conclude(Verdict verdict) {
  if (verdict.kind != Verdict::Kind::permanent) return note(std::move(verdict));
  for (InHand& m : messages_)
    for (Item& item : m.items)
      if (!item.done) settle(m, item, verdict);
}

asio::awaitable<void> DeliveryJob::try_hop(Hop hop) {
  MxSet mx = co_await mx_of(context_.resolver, context_.random, grant_.settings, hop, grant_.domain);
  co_await look_for_cancellation();
  if (cancelled_) co_return;  // what was found may be the cancellation's doing
  auto verdict = verdict_of(mx, grant_.route != nullptr);
  if (verdict && !may_be_forged(*verdict, mx)) {
    conclude(std::move(*verdict));
    co_return;
  }
  std::optional<TlsPlan> plan = co_await plan_hop(hop, std::move(mx));
  if (!plan) co_return;
  if (verdict) {
    conclude(against_policy(std::move(*verdict), *plan));
    co_return;
  }
  std::vector<Candidate> candidates;
  if (!look_at_plan(*plan, hop, candidates)) co_return;
  order(candidates, hop.port);
  candidates_ = &candidates;
  // An open connection to an MX that is as good as the best comes first.
  for (const Candidate& c : candidates) {
    if (c.mx->mx.preference != candidates.front().mx->mx.preference || !pending() || cancelled_) continue;
    co_await try_address(hop, *plan, c, true);
  }
  for (const Candidate& c : candidates) {
    if (!pending() || cancelled_) break;
    co_await try_address(hop, *plan, c, false);
    co_await look_for_cancellation();
  }
  candidates_ = nullptr;
}

// Messages that are young enough wait for an unknown policy.
void DeliveryJob::defer_young(const TlsPlan& plan) {
  const WallTime now = context_.timeline.now();
  Verdict v = own_verdict(Verdict::Kind::temporary, "4.4.3", plan.why);
  v.policy = true;
  v.stage = "plan";
  note(v);
  for (InHand& m : messages_) {
    if (now - m.meta->due_since() >= kUnknownPolicyWait) continue;
    for (Item& item : m.items)
      if (!item.done) settle(m, item, v);
  }
}

asio::awaitable<void> DeliveryJob::look_for_cancellation() {
  const bool cancelled = co_await is_cancelled();
  cancelled_ = cancelled_ || cancelled;
}

bool DeliveryJob::wants_fresh_plan() const {
  if (fresh_ || !notes_.empty() || !busy_mx_.empty()) return false;
  for (const InHand& m : messages_)
    for (const Item& item : m.items)
      if (!item.done && item.fallback && item.fallback_needs_all) return true;
  return false;
}

bool DeliveryJob::done(const InHand& message) {
  return std::all_of(message.items.begin(), message.items.end(), [](const Item& i) { return i.done; });
}

bool DeliveryJob::pending() const {
  return std::any_of(messages_.begin(), messages_.end(),
                     [&](const InHand& m) { return !done(m) && (m.touched || !over_); });
}

// What was not settled, as claims again.
std::vector<Claim> DeliveryJob::unfinished() {
  std::vector<Claim> out;
  for (InHand& message : messages_) {
    for (Claim& claim : message.claims) {
      for (Item& item : message.items) {
        if (item.done || item.token != claim.token || item.domain != claim.domain) continue;
        item.done = true;
        claim.recipients.push_back(std::move(item.recipient));
      }
      if (!claim.recipients.empty()) out.push_back(std::move(claim));
    }
  }
  return out;
}

}  // namespace holdfast
