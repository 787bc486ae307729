#include "queue/destination.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "queue/retry_schedule.h"

namespace holdfast {
namespace {

// After a reply that asks us to slow down, nothing new starts for so long.
constexpr Duration kThrottlePause = std::chrono::seconds(1);

// After a delivery that found all connections to its MX hosts in use: doubled each time up to the second.
constexpr Duration kBusyPause = std::chrono::milliseconds(20);
constexpr Duration kLongestBusyPause = std::chrono::milliseconds(500);
constexpr std::size_t kMostWarm = 1000;

// Claims of a lane that may go with one permit, so that the free permits share the work evenly and none holds
// it for long. One, until it is known how long that is.
std::size_t fair_share(std::size_t claims, unsigned free_permits, Duration pace) {
  if (pace <= Duration::zero()) return 1;
  const std::size_t each = (claims + free_permits - 1) / std::max(1u, free_permits);
  const auto in_time = static_cast<std::size_t>(kGrantTime / pace);
  return std::clamp<std::size_t>(std::min(each, in_time), 1, kClaimsPerGrant);
}

}  // namespace

LaneKind lane_of(const TlsClass& tls) {
  if (tls.requiretls) return LaneKind::requiretls;  // it voids `TLS-Required: No` (RFC 8689 section 4.1)
  return tls.tls_required_no ? LaneKind::tls_required_no : LaneKind::plain;
}

Destination::Destination(std::string name, std::string domain, std::shared_ptr<const RouteSettings> route,
                         SteadyTime now)
    : name_(std::move(name)), domain_(std::move(domain)), route_(std::move(route)), last_used_(now) {}

void Destination::push(Claim claim) {
  ready_ += claim.recipients.size();
  lanes_[index(lane_of(claim.meta->tls))].ready.push_back(std::move(claim));
}

void Destination::push_front(Claim claim) {
  ready_ += claim.recipients.size();
  lanes_[index(lane_of(claim.meta->tls))].ready.push_front(std::move(claim));
}

void Destination::push_last_chance(Claim claim) {
  ready_ += claim.recipients.size();
  lanes_[index(lane_of(claim.meta->tls))].last_chance.push_back(std::move(claim));
}

std::optional<SteadyTime> Destination::blocked_until(LaneKind lane, SteadyTime now) const {
  const SteadyTime at = lanes_[index(lane)].retry_at;
  return at > now ? std::optional(at) : std::nullopt;
}

unsigned Destination::concurrency(unsigned limit) const {
  return std::max(1u, std::min(concurrency_, limit));
}

bool Destination::lane_runnable(const Lane& lane, SteadyTime now, unsigned limit) const {
  if (in_flight_ >= concurrency(limit)) return false;
  if (!lane.last_chance.empty()) return true;
  if (lane.ready.empty() || lane.retry_at > now) return false;
  return !lane.probing || lane.in_flight == 0;
}

bool Destination::runnable(SteadyTime now, unsigned limit) const {
  if (paused_ || hold_until_ > now || ready_ == 0) return false;
  return std::any_of(lanes_.begin(), lanes_.end(),
                     [&](const Lane& l) { return lane_runnable(l, now, limit); });
}

std::vector<Claim> Destination::take(SteadyTime now, unsigned limit, LaneKind& kind) {
  if (!runnable(now, limit)) return {};
  while (!lane_runnable(lanes_[next_lane_], now, limit)) next_lane_ = (next_lane_ + 1) % kLanes;
  kind = static_cast<LaneKind>(next_lane_);
  Lane& lane = lanes_[next_lane_];
  next_lane_ = (next_lane_ + 1) % kLanes;

  auto& from = lane.last_chance.empty() ? lane.ready : lane.last_chance;
  const std::size_t share =
      lane.probing ? 1 : fair_share(from.size(), concurrency(limit) - in_flight_, pace_);
  std::vector<Claim> claims;
  // The claims of one message at several domains of a route stay together: they travel in one transaction.
  const auto same_message = [&] {
    return !claims.empty() && claims.back().meta->id == from.front().meta->id;
  };
  while (!from.empty() && (claims.size() < share || same_message())) {
    ready_ -= from.front().recipients.size();
    claims.push_back(std::move(from.front()));
    from.pop_front();
  }
  ++lane.in_flight;
  ++in_flight_;
  last_used_ = now;
  for (const Claim& c : claims) taken_ += c.recipients.size();
  return claims;
}

bool Destination::finished(LaneKind kind, const GrantReport& report, SteadyTime now,
                           const DeliverySettings& settings, Random& random) {
  Lane& lane = lanes_[index(kind)];
  --lane.in_flight;
  --in_flight_;
  last_used_ = now;
  for (const Claim& c : report.unfinished) taken_ -= std::min(taken_, c.recipients.size());
  if (!report.reply.empty()) last_reply_ = report.reply;
  const unsigned limit = settings.connections_per_destination;
  if (report.how != GrantReport::How::busy) busy_in_a_row_ = 0;
  switch (report.how) {
    case GrantReport::How::aborted: return false;
    case GrantReport::How::busy: {
      // Says nothing against the destination.
      const Duration pause = std::min(kLongestBusyPause, kBusyPause * (1 << std::min(busy_in_a_row_++, 5U)));
      hold_until(now + with_jitter(pause, random));
      return false;
    }
    case GrantReport::How::reached:
      lane.failures = lane.level = 0;
      lane.probing = false;
      lane.failure.clear();
      lane.retry_at = {};
      if (concurrency_ < limit) ++concurrency_;
      return false;
    case GrantReport::How::throttled:
      lane.failures = 0;
      lane.probing = false;
      concurrency_ = std::max(1u, std::min(concurrency_, limit) / 2);
      hold_until_ = std::max(hold_until_, now + with_jitter(kThrottlePause, random));
      return false;
    case GrantReport::How::failed: break;
  }
  concurrency_ = std::max(1u, std::min(concurrency_, limit) / 2);
  lane.failure = report.reply;
  lane.policy = report.policy;
  ++lane.failures;
  if (lane.retry_at > now) return false;  // one of several that were under way when it was found dead
  if (!lane.probing && lane.failures < kFailuresUntilDead) return false;
  lane.retry_at = now + backoff_delay(settings.retry, lane.level, random);
  ++lane.level;
  lane.probing = true;
  return true;
}

void Destination::paced(std::size_t claims, Duration took) {
  // Never zero: that would be "not known". The latest counts for a quarter.
  const Duration each =
      std::max(Duration(1), took / static_cast<Duration::rep>(std::max<std::size_t>(1, claims)));
  pace_ = pace_ == Duration::zero() ? each : (pace_ * 3 + each) / 4;
}

void Destination::warm(std::size_t worker, SteadyTime now) {
  if (warm_.size() >= kMostWarm) warm_.erase(warm_.begin());
  warm_.emplace_back(worker, now);
}

std::optional<std::size_t> Destination::take_warm(SteadyTime now, Duration idle) {
  if (warm_.empty()) return std::nullopt;
  const auto [worker, since] = warm_.back();
  warm_.pop_back();
  if (now - since < idle) return worker;
  warm_.clear();  // the others are older
  return std::nullopt;
}

std::vector<Claim> Destination::drain(LaneKind kind) {
  Lane& lane = lanes_[index(kind)];
  std::vector<Claim> out(std::make_move_iterator(lane.ready.begin()),
                         std::make_move_iterator(lane.ready.end()));
  lane.ready.clear();
  for (const Claim& c : out) ready_ -= c.recipients.size();
  return out;
}

std::vector<Claim> Destination::drain() {
  std::vector<Claim> out;
  for (Lane& lane : lanes_) {
    for (auto* queue : {&lane.ready, &lane.last_chance}) {
      std::move(queue->begin(), queue->end(), std::back_inserter(out));
      queue->clear();
    }
  }
  ready_ = 0;
  return out;
}

void Destination::measure(std::size_t share) {
  const std::size_t enough = std::exchange(taken_, 0) * static_cast<std::size_t>(kPaceHorizon / kPaceEvery);
  const bool was_limited = most_ready_ != kNoLimit && (ready_ > 0 || more_in_store);
  const bool limited = ready_ > enough || (was_limited && enough < share);
  most_ready_ = limited ? std::clamp(enough, std::min(kLeastShare, share), share) : kNoLimit;
}

void Destination::unlimit() {
  taken_ = 0;
  most_ready_ = kNoLimit;
}

std::vector<Claim> Destination::shorten(std::size_t keep) {
  std::vector<Claim> out;
  for (Lane& lane : lanes_) {
    while (ready_ > keep && !lane.ready.empty()) {
      ready_ -= lane.ready.back().recipients.size();
      out.push_back(std::move(lane.ready.back()));
      lane.ready.pop_back();
    }
  }
  return out;
}

std::size_t Destination::forget(ClaimToken token) {
  std::size_t gone = 0;
  for (Lane& lane : lanes_) {
    for (auto* queue : {&lane.ready, &lane.last_chance}) {
      std::erase_if(*queue, [&](const Claim& c) {
        if (c.token != token) return false;
        gone += c.recipients.size();
        return true;
      });
    }
  }
  ready_ -= gone;
  return gone;
}

void Destination::clear_backoff() {
  for (Lane& lane : lanes_) {
    lane.retry_at = {};
    lane.failures = lane.level = 0;
  }
  hold_until_ = {};
}

bool Destination::idle(SteadyTime now) const {
  if (paused_ || ready_ > 0 || in_flight_ > 0) return false;
  return std::all_of(lanes_.begin(), lanes_.end(), [&](const Lane& l) { return l.retry_at <= now; });
}

DestinationStatus Destination::status(SteadyTime now, unsigned limit, const Timeline& timeline) const {
  DestinationStatus out;
  out.name = name_;
  out.concurrency = concurrency(limit);
  out.in_flight = in_flight_;
  out.ready = ready_;
  out.last_reply = last_reply_;
  out.state = in_flight_ > 0 || ready_ > 0 ? "active" : "idle";
  SteadyTime latest{};
  for (const Lane& lane : lanes_) {
    if (lane.retry_at <= now || lane.retry_at < latest) continue;
    latest = lane.retry_at;
    out.state = "backing-off";
    out.waiting_reason = lane.failure;
    out.policy = lane.policy;
    out.retry_at = timeline.now() + std::chrono::ceil<std::chrono::microseconds>(lane.retry_at - now);
  }
  if (out.state == "active" && hold_until_ > now) {
    out.waiting_reason = "all connections that its MX hosts allow are in use, or a server asked to slow down";
  }
  if (paused_) {
    out.state = "paused";
    out.waiting_reason = "paused by the operator";
  }
  return out;
}

}  // namespace holdfast
