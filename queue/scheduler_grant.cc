// The part of the Scheduler that gives permits to workers and hears what came of them.
#include <algorithm>

#include "queue/scheduler.h"

namespace holdfast {
namespace {

// How much busier than the idlest a worker may be to get a permit because it holds a connection. A new one
// costs a handshake, and closes an idle one where the MX allows no more.
constexpr unsigned kLoadForWarmth = 32;

}  // namespace

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
  if (d.more_in_store && d.ready() < share_of(d) / 2) {
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

// Only while there is much in hand: what slow destinations hold is of no concern as long as there is room.
void Scheduler::look_at_pace() {
  pace_awaited_ = false;
  const SteadyTime now = parts_.clock.now();
  std::size_t slow = 0;
  for (const auto& [permit, flight] : in_flight_)
    if (now - flight.since >= kSlowAfter) slow += flight.recipients;
  slow_ = std::min(slow, kSlowWindows * parts_.window);
  table_.for_each([&](Destination& d) {
    d.measure(share());
    if (d.ready() <= share_of(d)) return;
    d.more_in_store = true;
    give_back(d.shorten(share_of(d)),
              parts_.timeline.now() + std::chrono::duration_cast<std::chrono::seconds>(kPaceEvery),
              "the destination takes its mail slowly, and other mail goes first", false);
  });
  send_disposals();
  watch_pace();
  request_refill(now);
}

void Scheduler::watch_pace() {
  if (stopping_ || in_hand_ < parts_.window / 4) {
    slow_ = 0;
    table_.for_each([](Destination& d) { d.unlimit(); });
    return;
  }
  if (std::exchange(pace_awaited_, true)) return;
  pace_timer_->arm(parts_.clock.now() + kPaceEvery, [this] { look_at_pace(); });
}

void Scheduler::pump() {
  if (stopping_ || !started_ || agents_.empty()) return;
  if (parts_.store.failed()) {
    // Whatever a server takes from now on is sent again after the restart.
    if (!std::exchange(ended_, true))
      for (DeliveryAgent* agent : agents_) agent->abort();
    return;
  }
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
    for (const Claim& c : grant.claims) flight.recipients += c.recipients.size();
    flight.since = now;
    in_flight_.emplace(grant.permit, flight);
    ++load_[flight.agent];
    table_.schedule(*d, now, limit);
    agents_[flight.agent]->start(std::move(grant));
  }
  if (const auto wake_at = table_.wake(now, limit)) wake_timer_->arm(*wake_at, [this] { pump(); });
}

}  // namespace holdfast
