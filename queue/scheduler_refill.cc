// The part of the Scheduler that talks with the store: due work in bounded batches, and leases.
#include <algorithm>

#include "queue/scheduler.h"

namespace holdfast {
namespace {

// Longer than any pause between two renewals; shorter than kFirstLease of the store.
constexpr Duration kLease = std::chrono::minutes(10);
constexpr Duration kRenewAfter = std::chrono::minutes(3);
// keep_house() looks at the leases more often than that; unless nothing ran (a stopped process).
constexpr Duration kStalled = std::chrono::seconds(90);
// Where nothing is known to become due, the store is looked at all the same: another relay may share it.
constexpr Duration kPollEvery = std::chrono::seconds(30);
constexpr Duration kAfterError = std::chrono::seconds(5);
constexpr std::size_t kLeastRoom = 64;
constexpr std::size_t kRecipientsPerClaim = 256;
// Sweeps of a destination that may not work now: so many recipients, so often.
constexpr std::size_t kSweep = 512;
constexpr Duration kSweepEvery = std::chrono::seconds(2);
constexpr std::size_t kFirstDueLimit = 512;
constexpr std::size_t kMostDueLimit = 16384;

}  // namespace

struct Scheduler::Order {
  std::vector<std::string> domains;
  std::size_t recipients = 0;
};

void Scheduler::request_refill(SteadyTime at) {
  if (stopping_ || !started_) return;
  if (refilling_) {
    again_at_ = std::min(again_at_, at);
    return;
  }
  if (at >= refill_at_) return;
  refill_at_ = at;
  refill_timer_->arm(at, [this] {
    refill_at_ = SteadyTime::max();
    if (refilling_ || stopping_) return;
    refilling_ = true;  // before: it may run through at once
    if (!group_.spawn(refill())) refilling_ = false;
  });
}

asio::awaitable<void> Scheduler::refill() {
  for (;;) {
    again_at_ = SteadyTime::max();
    const bool more = co_await refill_once();
    send_disposals();
    pump();
    if (stopping_ || (!more && again_at_ > parts_.clock.now())) break;
  }
  refilling_ = false;
  request_refill(std::min(next_refill_, again_at_));
}

// True: there may be more at once.
asio::awaitable<bool> Scheduler::refill_once() {
  SteadyTime now = parts_.clock.now();
  next_refill_ = now + kPollEvery;
  if (parts_.store.failed()) co_return false;
  if (room_left() < std::min(kLeastRoom, parts_.window / 4)) {
    wants_more_ = true;
    co_return false;
  }
  // After a stall what is in hand must not be claimed once more: first its leases.
  if (now - renewed_at_ > kStalled) co_await renew_leases();
  auto due = co_await parts_.store.due(parts_.timeline.now(), due_limit_);
  if (!due) {
    parts_.log.warning("looking for due mail: " + due.error().text());
    next_refill_ = now + kAfterError;
    co_return false;
  }
  now = parts_.clock.now();
  if (due->next) {
    const SteadyTime at = parts_.timeline.to_steady(*due->next);
    next_refill_ = std::clamp(at, now + std::chrono::milliseconds(1), next_refill_);
  }
  std::vector<Order> orders;
  Order small;
  std::size_t room = room_left();
  bool full = false;
  for (const DueDomain& domain : due->domains) {
    if (room == 0) {
      full = true;
      break;
    }
    const std::size_t allowed = std::min(room, allowance(domain.domain, now, next_refill_));
    if (allowed == 0) continue;
    const std::size_t n = std::min<std::size_t>(allowed, domain.due);
    room -= n;
    if (n == domain.due && small.recipients + n <= kRecipientsPerClaim) {
      // What is claimed whole can be claimed together.
      small.domains.push_back(domain.domain);
      small.recipients += n;
      continue;
    }
    Order order;
    order.domains.push_back(domain.domain);
    order.recipients = n;
    orders.push_back(std::move(order));
  }
  if (small.recipients > 0) orders.push_back(std::move(small));
  bool took = false;
  for (Order& order : orders) {
    if (stopping_) break;
    const bool got = co_await claim(std::move(order));
    took = took || got;
  }
  wants_more_ = wants_more_ || full;
  const bool cut = due->domains.size() >= due_limit_;
  // All those listed may not work now: look further down the list.
  due_limit_ = cut && !took ? std::min(due_limit_ * 2, kMostDueLimit) : kFirstDueLimit;
  if (!took && !due->domains.empty()) next_refill_ = std::min(next_refill_, now + kSweepEvery);
  co_return (took && !full) || (cut && !took && due_limit_ < kMostDueLimit);
}

// How many recipients of the domain may be claimed now. `next` becomes earlier when it has to be looked at
// again.
std::size_t Scheduler::allowance(const std::string& domain, SteadyTime now, SteadyTime& next) {
  Destination* d = table_.find(routes(), domain);
  if (!d) return share();
  bool blocked = d->paused();
  for (const LaneKind lane : {LaneKind::plain, LaneKind::requiretls, LaneKind::tls_required_no})
    blocked = blocked || d->blocked_until(lane, now);
  if (blocked) {
    if (d->next_sweep > now) {
      next = std::min(next, d->next_sweep);
      return 0;
    }
    d->next_sweep = now + kSweepEvery;
    next = std::min(next, d->next_sweep);
    return kSweep;
  }
  const std::size_t share = share_of(*d);
  if (d->ready() >= share - share / 2) {
    d->more_in_store = true;
    return 0;
  }
  return share - d->ready();
}

asio::awaitable<bool> Scheduler::claim(Order order) {
  auto claims = co_await parts_.store.claim(std::move(order.domains), order.recipients, parts_.timeline.now(),
                                            parts_.owner, kLease);
  if (!claims) {
    parts_.log.warning("claiming due mail: " + claims.error().text());
    next_refill_ = std::min(next_refill_, parts_.clock.now() + kAfterError);
    co_return false;
  }
  const bool got = !claims->empty();
  for (Claim& c : *claims) {
    take_in_hand(c);
    place(std::move(c), false);
  }
  send_disposals();
  pump();
  co_return got;
}

asio::awaitable<void> Scheduler::renew_leases() {
  const SteadyTime now = renewed_at_ = parts_.clock.now();
  std::vector<std::uint64_t> tokens;
  for (const auto& [token, held] : hand_)
    if (now - held.leased >= kRenewAfter) tokens.push_back(token);
  for (const std::uint64_t value : tokens) {
    if (stopping_) co_return;
    if (!hand_.contains(value)) continue;
    ClaimToken token;
    token.value = value;
    auto renewed = co_await parts_.store.renew(token, kLease);
    const auto found = hand_.find(value);
    if (!renewed || found == hand_.end()) continue;  // an error: once more in a minute
    if (*renewed) {
      found->second.leased = parts_.clock.now();
      continue;
    }
    // The operator stepped in, or somebody else took over: what is not yet under way is not ours any more.
    std::size_t gone = 0;
    table_.for_each([&](Destination& d) { gone += d.forget(token); });
    Settled settled;
    settled.token = token;
    settled.recipients = gone;
    if (gone > 0) on_settled(settled);
    // The operator ended what could not be recorded.
    const auto left = hand_.find(value);
    if (left != hand_.end() && left->second.recipients == 0) hand_.erase(left);
  }
}

}  // namespace holdfast
