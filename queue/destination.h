// queue/destination.h — one destination: a recipient domain, or a route. Pure: time and randomness are
// arguments.
//
// It holds the work that is ready for it, how many deliveries may run at once (one more for each that reached
// a server, so that it doubles while all of them do; half after a failure; never above
// `connections_per_destination`), and a back-off once it proves dead. What messages ask
// of TLS splits the ready work into lanes: a policy that REQUIRETLS mail cannot meet must not hold back
// ordinary mail, nor may a broken certificate hold back mail that said `TLS-Required: No`. So each lane fails
// and backs off by itself.
//
// Memory for ready work is shared by all. A destination that takes little of what lies there for it (servers
// that take minutes for an answer) has the less of it, so that several such leave room for the others.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <deque>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/settings.h"
#include "queue/delivery_agent.h"
#include "queue/store.h"

namespace holdfast {

inline constexpr unsigned kInitialConcurrency = 5;
// Deliveries in a row that reached no server before a lane counts as dead; after a back-off one is enough.
inline constexpr unsigned kFailuresUntilDead = 3;
// Claims handed out with one permit at the most.
inline constexpr std::size_t kClaimsPerGrant = 16;
// And no more than a permit can carry in this time, at the pace of late: the concurrency grows with every
// permit that comes back, and what one holds no other connection can take. A server that answers after a
// tenth of a second gets one message a permit; to one that answers at once many go with it.
inline constexpr Duration kGrantTime = std::chrono::milliseconds(100);

// How much of a destination's work lies in memory is measured every so often; no more than it takes in
// `kPaceHorizon` when that is less than its share, and at least so many recipients.
inline constexpr Duration kPaceEvery = std::chrono::seconds(5);
inline constexpr Duration kPaceHorizon = std::chrono::seconds(30);
inline constexpr std::size_t kLeastShare = 32;

enum class LaneKind : std::uint8_t { plain, requiretls, tls_required_no };
inline constexpr std::size_t kLanes = 3;
LaneKind lane_of(const TlsClass& tls);

struct DestinationStatus {
  std::string name;
  std::string state;           // active | idle | backing-off | paused
  unsigned concurrency = 0;    // how many deliveries may run now
  unsigned in_flight = 0;      // how many do
  std::size_t ready = 0;       // recipients in memory
  std::string last_reply;      // the latest that a server said, or why none was reached
  std::string waiting_reason;  // "" = it does not wait
  bool policy = false;         // waits because of TLS policy
  std::optional<WallTime> retry_at;
};

class Destination {
 public:
  Destination(std::string name, std::string domain, std::shared_ptr<const RouteSettings> route,
              SteadyTime now);

  const std::string& name() const { return name_; }
  const std::string& domain() const { return domain_; }  // "" for a route
  const std::shared_ptr<const RouteSettings>& route() const { return route_; }
  // A reload brings the same terms in a newer snapshot.
  void set_route(std::shared_ptr<const RouteSettings> route) { route_ = std::move(route); }

  void push(Claim claim);
  void push_front(Claim claim);
  // The last chance of a message that has expired while its lane backs off because of policy: tried all the
  // same.
  void push_last_chance(Claim claim);
  std::size_t ready() const { return ready_; }  // recipients

  bool paused() const { return paused_; }
  void pause(bool on) { paused_ = on; }
  // Until when the lane backs off; nullopt: it does not.
  std::optional<SteadyTime> blocked_until(LaneKind lane, SteadyTime now) const;
  bool blocked_by_policy(LaneKind lane) const { return lanes_[index(lane)].policy; }
  const std::string& failure(LaneKind lane) const { return lanes_[index(lane)].failure; }
  // Workers whose pools hold a connection, probably: a permit goes there first, so that it is reused.
  void warm(std::size_t worker, SteadyTime now);
  std::optional<std::size_t> take_warm(SteadyTime now, Duration idle);
  // After take(): would a new connection for it be one too many beside those in use and the idle ones?
  bool all_open(unsigned limit) const { return in_flight_ + warm_.size() > limit; }

  // Not before then: a server asked to slow down, or all connections that its MX hosts allow are in use.
  void hold_until(SteadyTime at) { hold_until_ = std::max(hold_until_, at); }
  SteadyTime held_until() const { return hold_until_; }

  // Is there work that may start now?
  bool runnable(SteadyTime now, unsigned limit) const;
  // Takes work for one permit: claims of one lane, its share of what is ready. Empty when not runnable.
  std::vector<Claim> take(SteadyTime now, unsigned limit, LaneKind& lane);
  // A permit came back. True when the lane backs off now: its ready work is to be given back.
  bool finished(LaneKind lane, const GrantReport& report, SteadyTime now, const DeliverySettings& settings,
                Random& random);
  // A permit with so many claims took so long from beginning to end, connecting included; a server was
  // reached.
  void paced(std::size_t claims, Duration took);
  // Everything that is ready in the lane.
  std::vector<Claim> drain(LaneKind lane);
  std::vector<Claim> drain();
  // Looks at what was taken since the last look: how many recipients may be ready, at most `share`. A limit
  // stays until the destination takes its whole share in time, or has nothing left.
  void measure(std::size_t share);
  void unlimit();
  std::size_t most_ready(std::size_t share) const { return std::min(most_ready_, share); }
  // What is ready beyond so many recipients: the latest.
  std::vector<Claim> shorten(std::size_t keep);
  // Drops ready claims whose token was lost; returns how many recipients.
  std::size_t forget(ClaimToken token);
  // The operator asks to try at once.
  void clear_backoff();

  unsigned in_flight() const { return in_flight_; }
  unsigned concurrency(unsigned limit) const;
  // Nothing here that would be missed?
  bool idle(SteadyTime now) const;
  SteadyTime last_used() const { return last_used_; }
  DestinationStatus status(SteadyTime now, unsigned limit, const Timeline& timeline) const;

  // Kept for the scheduler.
  bool in_ring = false;
  bool more_in_store = false;   // work was left in the store because the share in memory was full
  SteadyTime next_sweep{};      // while it may not work: when to look for expired recipients again
  std::size_t last_worker = 0;  // whose pool may hold a connection

 private:
  static constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();
  struct Lane {
    std::deque<Claim> ready;
    std::deque<Claim> last_chance;
    unsigned failures = 0;  // in a row
    unsigned level = 0;     // of back-off
    bool probing = false;   // after a back-off: one delivery until the first success
    bool policy = false;    // the latest failure was one of policy
    unsigned in_flight = 0;
    SteadyTime retry_at{};
    std::string failure;
  };
  static std::size_t index(LaneKind lane) { return static_cast<std::size_t>(lane); }
  bool lane_runnable(const Lane& lane, SteadyTime now, unsigned limit) const;

  std::string name_;
  std::string domain_;
  std::shared_ptr<const RouteSettings> route_;
  std::array<Lane, kLanes> lanes_;
  std::size_t next_lane_ = 0;
  std::size_t ready_ = 0;
  std::size_t taken_ = 0;  // recipients, since the last measure()
  std::size_t most_ready_ = kNoLimit;
  unsigned in_flight_ = 0;
  unsigned concurrency_ = kInitialConcurrency;
  Duration pace_{};  // of a claim, of late; zero: not known
  bool paused_ = false;
  unsigned busy_in_a_row_ = 0;
  std::vector<std::pair<std::size_t, SteadyTime>> warm_;  // worker, since when; the latest last
  SteadyTime hold_until_{};
  SteadyTime last_used_{};
  std::string last_reply_;
};

}  // namespace holdfast
