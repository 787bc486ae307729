// queue/scheduler.h — which destination may deliver now, and on which worker.
//
// One object on one executor (Workers::shared()). It keeps a bounded window of claimed work in memory: what
// intake offers and, when there is room, what is due in the store. Destinations take turns
// (DestinationTable); each turn is one permit for the least loaded worker with a small batch of claims. The
// window is in recipients; one destination may fill a quarter of it, or as much as it takes within half a
// minute if that is less, so that no backlog keeps others out, and memory does not grow with the queue.
//
// A destination that proves dead, or is paused, works through the store all the same: its due recipients are
// claimed in slow sweeps and put back until it may work again, except those whose time is over: these end at
// their own time.
//
// In five files: start, inbox and stop (scheduler.cc), where a claim goes (…_place.cc), permits (…_grant.cc),
// work and leases from the store (…_refill.cc), operators (…_operator.cc).
//
// Procedure at start: construct, add_agent() per worker, start(). At the end: stop(), then Workers::stop(),
// then destroy.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "config/settings_source.h"
#include "queue/delivery_agent.h"
#include "queue/destination_table.h"
#include "queue/ready_work.h"
#include "smtp/base/log.h"
#include "smtp/base/notifier.h"
#include "smtp/base/task_group.h"

namespace holdfast {

// Recipients in memory at the most, some 1 KiB each; besides up to three times as many that have been under
// way for longer than kSlowAfter.
inline constexpr std::size_t kSchedulerWindow = 4096;
inline constexpr std::size_t kSlowWindows = 3;
inline constexpr Duration kSlowAfter = std::chrono::seconds(10);

// Workers report with every message. Whatever comes within so long of the last look at the inbox is read
// together: waking a thread costs about a tenth of what a message does.
inline constexpr Duration kInboxGathers = std::chrono::milliseconds(1);

class Scheduler final : public ReadyWork, public GrantSink {
 public:
  struct Parts {
    Executor executor;
    Clock& clock;
    const Timeline& timeline;  // the one by which messages were accepted
    Random& random;
    Log& log;
    Store& store;
    const SettingsSource& settings;
    std::string owner;  // who claims: unique among the relays on one queue
    std::size_t window = kSchedulerWindow;
    Duration gather = kInboxGathers;  // zero reads at once, for tests whose clock stands still
  };
  explicit Scheduler(Parts parts);
  ~Scheduler() override;

  void add_agent(DeliveryAgent& agent);  // outlives the scheduler's stop()
  void start();
  // Stops granting, lets deliveries finish for `grace`, cancels the rest, gives everything back untried, and
  // closes the agents: when it returns, all results are durable. Intake may go on meanwhile and afterwards:
  // what it takes stays in the store for the next start.
  asio::awaitable<void> stop(Duration grace);

  // ReadyWork and GrantSink: any thread.
  bool has_room() const override;
  void offer(std::vector<Claim> claims) override;
  void look_again() override;
  void finished(std::uint64_t permit, GrantReport report) override;
  void settled(std::vector<Settled> settled) override;
  void accepted_unclaimed() override { look_again(); }
  void store_failed() override { look_again(); }

  // For operators; any executor. Names as in destinations(). A pause lasts until resume() or the end of the
  // process; resume() does what retry_now() does as well.
  asio::awaitable<std::vector<DestinationStatus>> destinations();
  asio::awaitable<void> pause(std::string name);
  asio::awaitable<void> resume(std::string name);
  // Forgets back-offs and dead addresses, and makes what waits for the domain due now.
  asio::awaitable<void> retry_now(std::string name);

  std::size_t in_hand() const { return in_hand_; }  // recipients claimed and not yet settled

 private:
  struct InFlight {
    Destination* destination = nullptr;
    std::size_t agent = 0;
    LaneKind lane = LaneKind::plain;
    std::size_t claims = 0;
    std::size_t recipients = 0;
    SteadyTime since{};
  };
  struct Held {
    std::size_t recipients = 0;
    std::size_t unrecorded = 0;  // not in `in_hand_`: only their leases are kept
    SteadyTime leased{};
  };
  struct Inbox {
    std::vector<Claim> offered;
    std::vector<std::pair<std::uint64_t, GrantReport>> reports;
    std::vector<Settled> settled;
    bool look = false;
    bool empty() const { return offered.empty() && reports.empty() && settled.empty() && !look; }
  };

  void tell(std::function<void(Inbox&)> put);
  void read_inbox();
  void on_report(std::uint64_t permit, GrantReport report);
  void on_settled(const Settled& settled);

  void take_in_hand(const Claim& claim);
  void place(Claim claim, bool offered);
  void give_back(std::vector<Claim> claims, WallTime until, const std::string& reason, bool policy);
  void expire(Claim claim, const std::string& reason, bool policy);
  void dispose(Disposal disposal);
  void send_disposals();
  void look_at_pace();
  void watch_pace();
  void lane_blocked(Destination& destination, LaneKind lane);

  void pump();
  std::size_t choose_agent(Destination& destination, SteadyTime now, const DeliverySettings& settings) const;

  Duration look_after() const;  // how long new mail in the store may wait to be looked at
  void request_refill(SteadyTime at);
  asio::awaitable<void> refill();
  asio::awaitable<bool> refill_once();
  struct Order;
  std::size_t allowance(const std::string& domain, SteadyTime now, SteadyTime& next);
  asio::awaitable<bool> claim(Order order);

  asio::awaitable<void> keep_house();
  asio::awaitable<void> renew_leases();
  asio::awaitable<void> stop_here(Duration grace);
  asio::awaitable<bool> wait_for_flights(SteadyTime deadline);
  asio::awaitable<std::vector<DestinationStatus>> destinations_here();
  asio::awaitable<void> pause_here(std::string name);
  asio::awaitable<void> resume_here(std::string name, bool unpause);
  asio::awaitable<void> make_due(std::string domain);

  const RouteTable& routes();
  SettingsPtr settings() const { return parts_.settings.current(); }
  // What counts against the window: not what has been under way for long, or a few slow servers would fill
  // it.
  std::size_t occupied() const {
    const std::size_t n = in_hand_;  // once: has_room() asks on other threads
    return n - std::min<std::size_t>(n, slow_);
  }
  std::size_t room_left() const { return parts_.window - std::min(occupied(), parts_.window); }
  std::size_t share() const { return std::max<std::size_t>(1, parts_.window / 4); }
  std::size_t share_of(const Destination& d) const { return d.most_ready(share()); }
  // Fresh work may fill more than a share while the window has as much room again for others: what goes back
  // is written twice and read once more.
  std::size_t share_of_offers(const Destination& d) const {
    return d.most_ready(std::max(share(), room_left()));
  }

  Parts parts_;
  std::vector<DeliveryAgent*> agents_;
  std::vector<unsigned> load_;  // permits per agent
  DestinationTable table_;
  std::unique_ptr<RouteTable> routes_;
  std::unordered_map<std::uint64_t, InFlight> in_flight_;  // by permit
  std::unordered_map<std::uint64_t, Held> hand_;           // by token
  std::vector<Disposal> disposals_;
  std::size_t next_disposer_ = 0;
  std::uint64_t last_permit_ = 0;
  std::size_t due_limit_;
  bool started_ = false;
  bool stopping_ = false;
  bool agents_closed_ = false;  // they begin nothing more, not even to give back
  bool ended_ = false;          // the store has failed, and the agents know
  bool refilling_ = false;
  SteadyTime again_at_ = SteadyTime::max();  // a refill that was asked for during one
  bool wants_more_ = false;                  // the store had more than there was room for
  SteadyTime renewed_at_{};                  // leases were looked at
  SteadyTime refill_at_ = SteadyTime::max();
  SteadyTime next_refill_{};
  std::size_t bounced_offers_ = 0;  // offered work that had to go back, of late
  SteadyTime bounced_since_{};

  std::atomic<std::size_t> in_hand_ = 0;
  std::atomic<std::size_t> slow_ = 0;  // of these, what has been under way for long; about
  std::atomic<std::size_t> offered_waiting_ = 0;
  std::atomic<SteadyTime::rep> closed_until_ = 0;
  std::atomic<bool> closed_ = false;
  std::mutex inbox_mutex_;
  Inbox inbox_;
  bool inbox_awaited_ = false;  // a look at the inbox is on its way, or the timer will take it

  Notifier changed_;
  TaskGroup group_;
  std::unique_ptr<Timer> wake_timer_;
  std::unique_ptr<Timer> refill_timer_;
  std::unique_ptr<Timer> inbox_timer_;
  std::unique_ptr<Timer> pace_timer_;
  bool pace_awaited_ = false;
};

}  // namespace holdfast
