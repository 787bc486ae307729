// queue/delivery_job.h — one permit's delivery: from claims to verdicts.
//
// Procedure. Next hops in order (the recipient domain, or those of a route): MX lookup, the planner's word on
// each MX, then each usable MX by preference and each of its addresses: a pooled connection that satisfies
// the requirement, else a new one; on it every message in hand. What a reply decides is settled; what broke
// goes on to the next address, the next MX, the next hop. What is left when none is left waits, with the
// reason that tells the operator most.
//
// Rules that have their place here:
//  - An unsigned DNS answer that would end the mail does not, where the domain has an MTA-STS policy in
//  force.
//  - Nothing that is said before a connection has met its requirement is permanent; a refused greeting means
//    the next MX.
//  - A 5.7.x of one address family is kept until the other family was asked.
//  - REQUIRETLS fails for good only by a plan that was made afresh (RFC 8689).
//  - Recipients that were answered are recorded as soon as their transaction is over, the rest of a message
//  at
//    once when it is done with, so that it causes one notification.
//
// In five files: hops and plans (delivery_job.cc), addresses and their order (delivery_address.cc), opening a
// connection (delivery_open.cc), transactions and replies (delivery_transaction.cc), what is settled and
// recorded (delivery_settle.cc).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "queue/connection_pool.h"
#include "queue/delivery_agent.h"
#include "queue/delivery_connect.h"
#include "queue/delivery_context.h"
#include "queue/delivery_record.h"
#include "queue/delivery_writer.h"
#include "queue/next_hop.h"

namespace holdfast {

class DeliveryJob {
 public:
  DeliveryJob(const DeliveryContext& context, ConnectionPool& pool, DeadAddresses& dead,
              DeliveryMetrics& metrics, DeliveryWriter& writer, Grant grant);

  // Once. When the coroutine is cancelled, what was not settled comes back in `unfinished`.
  asio::awaitable<GrantReport> run();
  // Takes what is not settled: after run() threw, which is a bug.
  std::vector<Claim> unfinished();

 private:
  struct Item {
    ClaimToken token;
    ClaimedRecipient recipient;
    std::string domain;
    bool done = false;
    unsigned answered_at = 0;         // visit of an address that has said enough about it
    std::optional<Verdict> fallback;  // a refusal that counts unless somebody else takes the recipient
    bool fallback_needs_all = false;  // it counts only if no other MX is out of reach
    std::optional<bool> only_v6;      // the family still to be asked
  };
  struct InHand {
    std::shared_ptr<const MessageMeta> meta;
    std::vector<Item> items;
    std::vector<Ending> endings;        // not yet recorded
    std::vector<HistoryEntry> history;  // not yet recorded
    bool touched = false;               // some server was asked about it
    std::vector<Claim> claims;          // without recipients: to give back what is left
  };
  // An address to try.
  struct Candidate {
    const MxPlan* mx = nullptr;
    IpBytes ip{};
  };

  asio::awaitable<void> try_hop(Hop hop);
  asio::awaitable<std::optional<TlsPlan>> plan_hop(Hop hop, MxSet mx);
  void conclude(Verdict verdict);
  PlanRequest request_for(const Hop& hop, MxSet mx) const;
  bool look_at_plan(const TlsPlan& plan, const Hop& hop, std::vector<Candidate>& out);
  void order(std::vector<Candidate>& candidates, std::uint16_t port) const;

  // Tries one address until nothing is left for it or it fails.
  asio::awaitable<void> try_address(const Hop& hop, const TlsPlan& plan, Candidate where, bool pooled_only);
  asio::awaitable<std::unique_ptr<Connection>> open(const Hop& hop, const TlsPlan& plan, Candidate where,
                                                    ConnectionKey key);
  OpenRequest open_request(const Hop& hop, Candidate where, ConnectionKey key) const;
  ConnectionKey key_for(const Hop& hop, Candidate where) const;
  std::shared_ptr<const TlsSummary> account(const Hop& hop, const TlsPlan& plan, const MxPlan& mx,
                                            const OpenResult& opened, Duration took,
                                            const ConnectionKey& key);
  void failed_open(const MxPlan& mx, const OpenResult& opened, const ConnectionKey& key,
                   std::shared_ptr<const TlsSummary> tls);

  asio::awaitable<void> serve(Connection& connection);
  asio::awaitable<void> transaction(Connection& connection, InHand& message, std::vector<Item*> items);
  std::vector<Item*> eligible(InHand& message, const Connection& connection);
  bool any_for(bool v6) const;
  void answer(const Connection& connection, InHand& message, Item& item, const RecipientResult& result,
              bool taken_before, bool any_taken);
  void unanswered(const Connection& connection, InHand& message, Item& item, const TransactionResult& result);
  bool other_family_left(const Connection& connection) const;
  void remember_attempt(InHand& message, const Connection& connection, const std::string& what);
  void settle(InHand& message, Item& item, Verdict verdict);
  void refuse_unless_taken(Item& item, Verdict verdict, bool needs_all);
  void set_aside(InHand& message, const Error& error);

  // Records endings; of a message that is not done only those that need no notification.
  asio::awaitable<void> record(InHand& message);
  bool notice_owed(const InHand& message, WallTime now) const;
  void give_back(InHand& message);
  asio::awaitable<void> settle_rest();
  bool wants_fresh_plan() const;
  void defer_young(const TlsPlan& plan);

  bool pending() const;
  static bool done(const InHand& message);
  void note(Verdict verdict);
  Verdict best_note() const;
  asio::awaitable<void> look_for_cancellation();
  bool counts_in_tlsrpt() const;
  void to_ledger(std::vector<SessionOutcome> outcomes);
  Settings const& settings() const { return *grant_.settings; }

  const DeliveryContext& context_;
  ConnectionPool& pool_;
  DeadAddresses& dead_;
  DeliveryMetrics& metrics_;
  DeliveryWriter& writer_;
  Grant grant_;
  TlsClass tls_;
  std::vector<InHand> messages_;
  std::vector<Verdict> notes_;                 // why this or that MX did not do
  std::shared_ptr<const TlsSummary> tls_now_;  // of the connection being served
  std::string busy_mx_;
  bool total_reached_ = false;
  std::string last_reply_;
  unsigned visit_ = 0;    // of an address, counted
  unsigned opened_ = 0;   // connections
  unsigned answers_ = 0;  // recipients that a server said something about
  unsigned transactions_ = 0;
  bool fresh_ = false;
  bool reached_ = false;  // a server took part in a transaction
  bool throttled_ = false;
  bool over_ = false;  // the permit was held long enough, or the rate is used up
  bool rate_limited_ = false;
  bool cancelled_ = false;
  SteadyTime started_{};
  const std::vector<Candidate>* candidates_ = nullptr;
};

}  // namespace holdfast
