#include "queue/scheduler.h"

#include <algorithm>
#include <boost/asio/post.hpp>

#include "queue/retry_schedule.h"
#include "smtp/base/hop.h"

namespace holdfast {
namespace {

// What a paused destination's work is put back for: it is looked at again in case the pause outlives its
// expiry.
constexpr auto kPausePark = std::chrono::minutes(10);
// Destinations without work are remembered (concurrency, last reply) for so long.
constexpr Duration kForgetAfter = std::chrono::minutes(10);
// More than these, and the unused go at once.
constexpr std::size_t kManyDestinations = 20000;
// Offered work that had to be put back, within a second, until offers are refused for a while: intake then
// leaves new mail to the store, which costs less than claiming it and giving it back.
constexpr std::size_t kBouncedOffers = 64;
constexpr Duration kOffersClosed = std::chrono::milliseconds(250);
// How much busier than the idlest a worker may be to get a permit because it holds a connection. A new one
// costs a handshake, and closes an idle one where the MX allows no more.
constexpr unsigned kLoadForWarmth = 32;
// How long new mail in the store may wait to be looked at: hardly when there is little else to do, longer
// when many recipients are in hand anyway. A look reads a thousand rows.
constexpr Duration kLookSoon = std::chrono::milliseconds(5);
constexpr Duration kLookLater = std::chrono::milliseconds(100);
constexpr std::size_t kClaimsPerDisposal = 256;
constexpr Duration kAbortLimit = std::chrono::seconds(10);

}  // namespace

Scheduler::Scheduler(Parts parts)
    : parts_(std::move(parts)),
      due_limit_(512),
      group_(parts_.executor, [this](std::string what) { parts_.log.error("bug: scheduler: " + what); }),
      wake_timer_(parts_.clock.make_timer(parts_.executor)),
      refill_timer_(parts_.clock.make_timer(parts_.executor)),
      inbox_timer_(parts_.clock.make_timer(parts_.executor)) {}

Scheduler::~Scheduler() = default;

void Scheduler::add_agent(DeliveryAgent& agent) {
  agents_.push_back(&agent);
  load_.push_back(0);
}

void Scheduler::start() {
  asio::post(parts_.executor, [this] {
    started_ = true;
    group_.spawn(keep_house());
    request_refill(parts_.clock.now());
    pump();
  });
}

const RouteTable& Scheduler::routes() {
  SettingsPtr now = settings();
  if (!routes_ || routes_->settings() != now) routes_ = std::make_unique<RouteTable>(std::move(now));
  return *routes_;
}

bool Scheduler::has_room() const {
  if (closed_ || in_hand_ + offered_waiting_ >= parts_.window) return false;
  return parts_.clock.now().time_since_epoch().count() >= closed_until_;
}

void Scheduler::tell(std::function<void(Inbox&)> put) {
  {
    const std::lock_guard lock(inbox_mutex_);
    put(inbox_);
    if (std::exchange(inbox_awaited_, true)) return;
  }
  asio::post(parts_.executor, [this] { read_inbox(); });
}

void Scheduler::offer(std::vector<Claim> claims) {
  std::size_t n = 0;
  for (const Claim& c : claims) n += c.recipients.size();
  offered_waiting_ += n;
  tell([&](Inbox& in) { std::move(claims.begin(), claims.end(), std::back_inserter(in.offered)); });
}

void Scheduler::look_again() {
  tell([](Inbox& in) { in.look = true; });
}

void Scheduler::finished(std::uint64_t permit, GrantReport report) {
  tell([&](Inbox& in) { in.reports.emplace_back(permit, std::move(report)); });
}

void Scheduler::settled(std::vector<Settled> settled) {
  tell([&](Inbox& in) { in.settled.insert(in.settled.end(), settled.begin(), settled.end()); });
}

void Scheduler::read_inbox() {
  Inbox in;
  {
    const std::lock_guard lock(inbox_mutex_);
    std::swap(in, inbox_);
    // Once nothing came for so long, the next to come wakes this executor again.
    inbox_awaited_ = !in.empty() && parts_.gather > Duration(0);
    if (in.empty()) return;
  }
  if (parts_.gather > Duration(0))
    inbox_timer_->arm(parts_.clock.now() + parts_.gather, [this] { read_inbox(); });
  for (const Settled& s : in.settled) on_settled(s);
  for (auto& [permit, report] : in.reports) on_report(permit, std::move(report));
  for (Claim& claim : in.offered) {
    offered_waiting_ -= claim.recipients.size();
    take_in_hand(claim);
    place(std::move(claim), true);
  }
  send_disposals();
  // A wait lets several of them be one look at the store.
  if (in.look) request_refill(parts_.clock.now() + look_after());
  if (wants_more_ && in_hand_ < parts_.window * 3 / 4) {
    wants_more_ = false;
    request_refill(parts_.clock.now());
  }
  pump();
  changed_.notify();
}

Duration Scheduler::look_after() const { return in_hand_ < parts_.window / 2 ? kLookSoon : kLookLater; }

void Scheduler::take_in_hand(const Claim& claim) {
  Held& held = hand_[claim.token.value];
  if (held.recipients == 0) held.leased = parts_.clock.now();
  held.recipients += claim.recipients.size();
  in_hand_ += claim.recipients.size();
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
  if (found->second.recipients == 0) hand_.erase(found);
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
    if (offered && d.ready() >= share_of_offers()) {
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
  for (Disposal& d : std::exchange(disposals_, {})) {
    agents_[next_disposer_]->dispose(std::move(d));
    next_disposer_ = (next_disposer_ + 1) % agents_.size();
  }
}

void Scheduler::on_report(std::uint64_t permit, GrantReport report) {
  const auto found = in_flight_.find(permit);
  if (found == in_flight_.end()) return;
  const InFlight flight = found->second;
  in_flight_.erase(found);
  --load_[flight.agent];
  Destination& d = *flight.destination;
  const SteadyTime now = parts_.clock.now();
  const SettingsPtr s = settings();
  const bool blocked = d.finished(flight.lane, report, now, s->delivery, parts_.random);
  if (report.how == GrantReport::How::reached) {
    d.warm(flight.agent, now);
    d.paced(flight.claims, now - flight.since);
  }
  if (report.how == GrantReport::How::busy) {
    if (!report.busy_mx.empty())
      for (DeliveryAgent* agent : agents_) agent->shed_idle(report.total_reached ? "" : report.busy_mx);
  }
  if (stopping_) {
    give_back(std::move(report.unfinished), parts_.timeline.now(), "", false);
  } else if (blocked || d.paused() || d.blocked_until(flight.lane, now)) {
    if (blocked) lane_blocked(d, flight.lane);
    for (Claim& claim : report.unfinished) place(std::move(claim), false);
  } else {
    for (std::size_t i = report.unfinished.size(); i-- > 0;) d.push_front(std::move(report.unfinished[i]));
  }
  table_.schedule(d, now, s->delivery.connections_per_destination);
  if (d.more_in_store && d.ready() < share() / 2) {
    d.more_in_store = false;
    request_refill(now);
  }
  send_disposals();
}

// What is ready in the lane goes back until the destination is tried again.
void Scheduler::lane_blocked(Destination& d, LaneKind lane) {
  Fields f;
  f.add("destination", d.name()).add("reply", d.failure(lane)).add("policy", d.blocked_by_policy(lane));
  parts_.log.info("destination backs off", f);
  for (Claim& claim : d.drain(lane)) place(std::move(claim), false);
}

std::size_t Scheduler::choose_agent(Destination& d, SteadyTime now, const DeliverySettings& settings) const {
  const auto least = std::min_element(load_.begin(), load_.end());
  // What finished there left a connection: reusing it saves a handshake, and keeps within what the MX allows.
  const bool all_open =
      d.all_open(std::min(settings.connections_per_destination, settings.connections_per_mx));
  const auto warm = d.take_warm(now, settings.idle_connection);
  if (warm && (all_open || load_[*warm] <= *least + kLoadForWarmth)) return *warm;
  return static_cast<std::size_t>(least - load_.begin());
}

void Scheduler::pump() {
  if (stopping_ || !started_ || agents_.empty()) return;
  const SettingsPtr s = settings();
  const unsigned limit = s->delivery.connections_per_destination;
  const SteadyTime now = parts_.clock.now();
  table_.wake(now, limit);
  while (in_flight_.size() < std::max(1u, s->delivery.connections_total)) {
    Destination* d = table_.next(now, limit);
    if (!d) break;
    LaneKind lane = LaneKind::plain;
    Grant grant;
    grant.claims = d->take(now, limit, lane);
    grant.permit = ++last_permit_;
    grant.settings = s;
    grant.route = d->route();
    grant.destination = d->name();
    grant.domain = d->domain();
    InFlight flight;
    flight.destination = d;
    flight.agent = choose_agent(*d, now, s->delivery);
    flight.lane = lane;
    flight.claims = grant.claims.size();
    flight.since = now;
    in_flight_.emplace(grant.permit, flight);
    ++load_[flight.agent];
    table_.schedule(*d, now, limit);
    agents_[flight.agent]->start(std::move(grant));
  }
  if (const auto wake_at = table_.wake(now, limit)) wake_timer_->arm(*wake_at, [this] { pump(); });
}

asio::awaitable<void> Scheduler::keep_house() {
  constexpr Duration kEvery = std::chrono::minutes(1);
  for (;;) {
    const bool slept = co_await sleep_for(parts_.clock, kEvery);
    if (!slept || stopping_) co_return;
    co_await renew_leases();
    table_.evict(parts_.clock.now(), table_.size() > kManyDestinations ? Duration(0) : kForgetAfter);
  }
}

asio::awaitable<void> Scheduler::stop(Duration grace) { return hop(parts_.executor, stop_here(grace)); }

asio::awaitable<bool> Scheduler::wait_for_flights(SteadyTime deadline) {
  auto timer = parts_.clock.make_timer(parts_.executor);
  timer->arm(deadline, [this] { changed_.notify(); });
  while (!in_flight_.empty() && parts_.clock.now() < deadline) co_await changed_.wait_through_cancellation();
  co_return in_flight_.empty();
}

asio::awaitable<void> Scheduler::stop_here(Duration grace) {
  stopping_ = true;
  closed_ = true;
  wake_timer_->cancel();
  refill_timer_->cancel();
  table_.for_each([&](Destination& d) { give_back(d.drain(), parts_.timeline.now(), "", false); });
  if (!agents_.empty()) send_disposals();
  const bool calm = co_await wait_for_flights(parts_.clock.now() + grace);
  if (!calm) {
    Fields f;
    f.add("deliveries", static_cast<std::uint64_t>(in_flight_.size()));
    parts_.log.info("the grace period is over: deliveries are cancelled and given back", f);
    for (DeliveryAgent* agent : agents_) agent->abort();
    co_await wait_for_flights(parts_.clock.now() + kAbortLimit);
  }
  group_.stop();
  co_await group_.drained();
  read_inbox();
  for (DeliveryAgent* agent : agents_) co_await agent->close();
  read_inbox();  // what they wrote last
  inbox_timer_->cancel();
}

asio::awaitable<std::vector<DestinationStatus>> Scheduler::destinations() {
  return hop(parts_.executor, destinations_here());
}

asio::awaitable<std::vector<DestinationStatus>> Scheduler::destinations_here() {
  std::vector<DestinationStatus> out;
  const SteadyTime now = parts_.clock.now();
  const unsigned limit = settings()->delivery.connections_per_destination;
  table_.for_each([&](Destination& d) { out.push_back(d.status(now, limit, parts_.timeline)); });
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  co_return out;
}

asio::awaitable<void> Scheduler::pause(std::string name) {
  return hop(parts_.executor, pause_here(std::move(name)));
}

asio::awaitable<void> Scheduler::pause_here(std::string name) {
  const Mailbox nobody;
  if (table_.named(name).empty()) table_.of(routes(), name, nobody, parts_.clock.now());
  table_.pause(name, true);
  for (Destination* d : table_.named(name))
    for (Claim& claim : d->drain()) place(std::move(claim), false);
  send_disposals();
  co_return;
}

asio::awaitable<void> Scheduler::resume(std::string name) {
  return hop(parts_.executor, resume_here(std::move(name), true));
}

asio::awaitable<void> Scheduler::retry_now(std::string name) {
  return hop(parts_.executor, resume_here(std::move(name), false));
}

asio::awaitable<void> Scheduler::resume_here(std::string name, bool unpause) {
  if (unpause) table_.pause(name, false);
  bool is_route = false;
  for (Destination* d : table_.named(name)) {
    is_route = is_route || d->route() != nullptr;
    d->clear_backoff();
  }
  for (DeliveryAgent* agent : agents_) agent->forget_failures();
  if (!is_route) co_await make_due(name);
  request_refill(parts_.clock.now());
  pump();
}

}  // namespace holdfast
