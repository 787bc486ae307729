// queue/delivery_agent.h — what scheduler and deliverers say to each other. One agent per worker; the
// scheduler lives on the shared executor. Nothing here waits: each side posts to the other.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "config/settings.h"
#include "queue/store.h"

namespace holdfast {

// The right to run one delivery to a destination on a worker, with the work for it. All claims have the same
// TLS class.
struct Grant {
  std::uint64_t permit = 0;
  SettingsPtr settings;                        // the snapshot of this attempt
  std::shared_ptr<const RouteSettings> route;  // nullptr: by the MX of `domain`
  std::string destination;                     // its name, for logs and the pool
  std::string domain;                          // recipient domain; "" for a route
  std::vector<Claim> claims;
};

struct GrantReport {
  enum class How {
    reached,    // a server took part in a mail transaction, whatever it said to it
    throttled,  // reached, and a 4xx reply asked us to slow down
    failed,     // no server could be used
    busy,       // no free connection at the MX hosts: nothing was tried, `unfinished` holds all
    aborted,    // cancelled by abort()
  } how = How::reached;
  std::string reply;              // the latest reply, or why no server was reached; sanitised
  bool policy = false;            // failed because of TLS policy
  std::string busy_mx;            // busy: the host whose connections are all in use
  bool total_reached = false;     // busy: all connections of the relay are in use
  std::vector<Claim> unfinished;  // not settled, for another permit
};

// What is to be done with claims without a delivery.
struct Disposal {
  SettingsPtr settings;
  std::vector<Claim> claims;
  bool expire = false;  // end them: their time is over. Otherwise they go back untried until `until`
  WallTime until{};
  std::string reason;  // shown by `queue list`, told in the bounce; "" keeps silent (given back at shutdown)
  bool policy = false;
};

// The scheduler's ear. Thread-safe.
class GrantSink {
 public:
  virtual ~GrantSink() = default;
  // The permit is free again. What the delivery settled becomes durable later.
  virtual void finished(std::uint64_t permit, GrantReport report) = 0;
  // Recipients under this token are durable now and no longer in hand.
  struct Settled {
    ClaimToken token;
    std::size_t recipients = 0;
    std::optional<WallTime> next{};  // when the first of them that wait is to be tried again
    bool unrecorded = false;  // instead: the store refuses the result; still claimed, but no work any more
  };
  virtual void settled(std::vector<Settled> settled) = 0;
  // A notification was put in the queue unclaimed.
  virtual void accepted_unclaimed() = 0;
  // Store::failed(): nothing that is under way can be recorded any more.
  virtual void store_failed() = 0;
};

class DeliveryAgent {
 public:
  virtual ~DeliveryAgent() = default;
  // Called on the scheduler's executor.
  virtual void start(Grant grant) = 0;              // answered by one finished()
  virtual void dispose(Disposal disposal) = 0;      // answered by settled()
  virtual void shed_idle(std::string mx_host) = 0;  // close idle connections to it: others wait for them
  virtual void forget_failures() = 0;               // the operator asks to try at once
  virtual void abort() = 0;                         // cancel deliveries; each reports `aborted`
  // Everything written, connections ended; nothing may be started afterwards.
  virtual asio::awaitable<void> close() = 0;
};

}  // namespace holdfast
