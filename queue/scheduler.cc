#include "queue/scheduler.h"

#include <algorithm>
#include <boost/asio/post.hpp>

#include "smtp/base/hop.h"

namespace holdfast {
namespace {

// Destinations without work are remembered (concurrency, last reply) for so long.
constexpr Duration kForgetAfter = std::chrono::minutes(10);
// More than these, and the unused go at once.
constexpr std::size_t kManyDestinations = 20000;
// How long new mail in the store may wait to be looked at: hardly when there is little else to do, longer
// when many recipients are in hand anyway. A look reads a thousand rows.
constexpr Duration kLookSoon = std::chrono::milliseconds(5);
constexpr Duration kLookLater = std::chrono::milliseconds(100);
constexpr Duration kAbortLimit = std::chrono::seconds(10);

}  // namespace

Scheduler::Scheduler(Parts parts)
    : parts_(std::move(parts)),
      due_limit_(512),
      group_(parts_.executor, [this](std::string what) { parts_.log.error("bug: scheduler: " + what); }),
      wake_timer_(parts_.clock.make_timer(parts_.executor)),
      refill_timer_(parts_.clock.make_timer(parts_.executor)),
      inbox_timer_(parts_.clock.make_timer(parts_.executor)),
      pace_timer_(parts_.clock.make_timer(parts_.executor)) {}

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
  if (closed_ || occupied() + offered_waiting_ >= parts_.window) return false;
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
    if (agents_closed_) continue;  // durable, and given out again by the next start
    take_in_hand(claim);
    place(std::move(claim), true);
  }
  send_disposals();
  // A wait lets several of them be one look at the store.
  if (in.look) request_refill(parts_.clock.now() + look_after());
  if (wants_more_ && occupied() < parts_.window * 3 / 4) {
    wants_more_ = false;
    request_refill(parts_.clock.now());
  }
  pump();
  changed_.notify();
}

Duration Scheduler::look_after() const { return occupied() < parts_.window / 2 ? kLookSoon : kLookLater; }

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
  pace_timer_->cancel();
  table_.for_each([&](Destination& d) { give_back(d.drain(), parts_.timeline.now(), "", false); });
  if (!agents_.empty()) send_disposals();
  // What a server takes now could not be recorded, and would be sent again.
  if (parts_.store.failed()) grace = Duration(0);
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
  agents_closed_ = true;
  for (DeliveryAgent* agent : agents_) co_await agent->close();
  read_inbox();  // what they wrote last
  inbox_timer_->cancel();
}

}  // namespace holdfast
