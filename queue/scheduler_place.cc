// The part of the Scheduler that knows where each claim goes: to the ready work of its destination, or back
// to the store, by way of an agent.
#include <algorithm>

#include "queue/scheduler.h"

namespace holdfast {
namespace {

// What a paused destination's work is put back for: it is looked at again in case the pause outlives its
// expiry.
constexpr auto kPausePark = std::chrono::minutes(10);
// Offered work that had to be put back, within a second, until offers are refused for a while: intake then
// leaves new mail to the store, which costs less than claiming it and giving it back.
constexpr std::size_t kBouncedOffers = 64;
constexpr Duration kOffersClosed = std::chrono::milliseconds(250);
constexpr std::size_t kClaimsPerDisposal = 256;

}  // namespace

void Scheduler::take_in_hand(const Claim& claim) {
  Held& held = hand_[claim.token.value];
  if (held.recipients == 0) held.leased = parts_.clock.now();
  held.recipients += claim.recipients.size();
  in_hand_ += claim.recipients.size();
  if (!pace_awaited_ && in_hand_ >= parts_.window / 4) watch_pace();
}

void Scheduler::on_settled(const Settled& settled) {
  // The last look at the store knew nothing of this retry. Not at once: what a destination gave back may
  // still be blocked. What had only found no room is due by now, and may be all that there is to do.
  if (settled.next) {
    const SteadyTime now = parts_.clock.now();
    const SteadyTime next = parts_.timeline.to_steady(*settled.next);
    request_refill(next <= now ? now + look_after() : std::max(next, now + std::chrono::seconds(1)));
  }
  const auto found = hand_.find(settled.token.value);
  if (found == hand_.end()) return;
  const std::size_t n = std::min(settled.recipients, found->second.recipients);
  found->second.recipients -= n;
  in_hand_ -= n;
  if (settled.unrecorded) found->second.unrecorded += n;
  if (found->second.recipients + found->second.unrecorded == 0) hand_.erase(found);
}

// Where a claim goes: to its destination's ready work, or back.
void Scheduler::place(Claim claim, bool offered) {
  const SteadyTime now = parts_.clock.now();
  const WallTime today = parts_.timeline.now();
  if (stopping_) {
    std::vector<Claim> one;
    one.push_back(std::move(claim));
    return give_back(std::move(one), today, "", false);
  }
  Destination& d = table_.of(routes(), claim.domain, claim.meta->reverse_path, now);
  const LaneKind lane = lane_of(claim.meta->tls);
  const bool over = claim.meta->expires <= today;
  const auto blocked = d.blocked_until(lane, now);
  const unsigned limit = routes_->settings()->delivery.connections_per_destination;
  if (!d.paused() && !blocked) {
    if (offered && d.ready() >= share_of_offers(d)) {
      ++bounced_offers_;
      d.more_in_store = true;
      std::vector<Claim> one;
      one.push_back(std::move(claim));
      give_back(std::move(one), today, "", false);
    } else {
      d.push(std::move(claim));
      table_.schedule(d, now, limit);
    }
  } else if (over && !d.paused() && d.blocked_by_policy(lane)) {
    // Before it fails for good because of policy, the policy is looked up afresh: one more attempt.
    d.push_last_chance(std::move(claim));
    table_.schedule(d, now, limit);
  } else if (over) {
    expire(std::move(claim), d.paused() ? "paused by the operator" : d.failure(lane),
           !d.paused() && d.blocked_by_policy(lane));
  } else {
    if (offered) ++bounced_offers_;
    std::vector<Claim> one;
    one.push_back(std::move(claim));
    if (d.paused()) {
      give_back(std::move(one), today + kPausePark, "the destination is paused by the operator", false);
    } else {
      give_back(std::move(one), today + std::chrono::ceil<std::chrono::microseconds>(*blocked - now),
                "the destination does not answer: " + d.failure(lane), d.blocked_by_policy(lane));
    }
  }
  if (now - bounced_since_ > kOffersClosed) {
    bounced_since_ = now;
    bounced_offers_ = 0;
  } else if (bounced_offers_ >= kBouncedOffers) {
    bounced_offers_ = 0;
    closed_until_ = (now + kOffersClosed).time_since_epoch().count();
  }
}

void Scheduler::give_back(std::vector<Claim> claims, WallTime until, const std::string& reason, bool policy) {
  for (Claim& claim : claims) {
    Disposal d;
    d.settings = settings();
    d.claims.push_back(std::move(claim));
    d.until = until;
    d.reason = reason;
    d.policy = policy;
    dispose(std::move(d));
  }
}

void Scheduler::expire(Claim claim, const std::string& reason, bool policy) {
  Disposal d;
  d.settings = settings();
  d.claims.push_back(std::move(claim));
  d.expire = true;
  d.until = parts_.timeline.now();
  d.reason = reason.empty() ? "no delivery was possible" : reason;
  d.policy = policy;
  dispose(std::move(d));
}

// Collects what goes the same way, so that one hop carries it.
void Scheduler::dispose(Disposal disposal) {
  if (!disposals_.empty()) {
    Disposal& last = disposals_.back();
    const bool same = last.expire == disposal.expire && last.reason == disposal.reason &&
                      last.policy == disposal.policy && last.settings == disposal.settings &&
                      last.claims.size() < kClaimsPerDisposal &&
                      std::chrono::abs(last.until - disposal.until) < std::chrono::seconds(1);
    if (same) {
      last.claims.push_back(std::move(disposal.claims.front()));
      return;
    }
  }
  disposals_.push_back(std::move(disposal));
}

void Scheduler::send_disposals() {
  if (agents_closed_) disposals_.clear();
  for (Disposal& d : std::exchange(disposals_, {})) {
    agents_[next_disposer_]->dispose(std::move(d));
    next_disposer_ = (next_disposer_ + 1) % agents_.size();
  }
}

}  // namespace holdfast
