// queue/store_leases.h — who has which recipient in hand, for a store of one process. In memory only: a
// restart voids every lease, since whoever held one is gone too.
//
// The writer and the readers of the database run side by side, so a reader may look at a state that the
// writer has just left behind. Three rules keep a recipient from being claimed from such a stale picture:
//  - the writer marks a recipient (leave, seize, add) before it commits, never after;
//  - what it marked stays unclaimable until the commit is known (settle, undo);
//  - while a reader is at work (begin_read to end_read), recipients that were settled stay unclaimable.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "queue/store.h"

namespace holdfast {

// Thread-safe. Its size is bounded by what is in hand, not by the queue.
class LeaseTable {
 public:
  explicit LeaseTable(std::uint64_t first_token) : last_token_(first_token) {}

  ClaimToken new_token();

  // The writer's side, before its commit.
  bool leave(RecipientId id, ClaimToken token);        // a completion or deferral; false: the token is stale
  void seize(RecipientId id);                          // the operator takes it from whoever holds it
  bool seize_waiting(RecipientId id, SteadyTime now);  // the same, but false when somebody holds it
  void add(RecipientId id, ClaimToken token, const std::string& domain,
           SteadyTime until);  // fresh and claimed
  // The writer's side, after its commit or rollback.
  void settle(RecipientId id);
  void undo(RecipientId id);
  void drop(RecipientId id);  // takes an add() back

  // A reader's side.
  void begin_read();
  void end_read();
  bool take(RecipientId id, ClaimToken token, const std::string& domain, SteadyTime now, SteadyTime until);
  void give_back(RecipientId id, ClaimToken token);  // taken in vain

  bool renew(ClaimToken token, SteadyTime until);
  bool in_hand(RecipientId id, SteadyTime now) const;
  // How many recipients of the domain are not to be had, whatever their lease says.
  std::size_t count(const std::string& domain) const;
  // The domains of leases that ran out since the last call.
  std::vector<std::string> expired(SteadyTime now);

 private:
  enum class State : std::uint8_t { held, leaving, seized, settled };
  struct Entry {
    std::uint64_t token = 0;
    State state = State::held;
    bool was_held = true;  // what undo() restores
  };
  struct Lease {
    SteadyTime until{};
    std::size_t recipients = 0;
    std::string domain;
    bool told = false;  // expired() named it
  };
  void insert(RecipientId id, ClaimToken token, const std::string& domain, SteadyTime until);
  void seize_locked(RecipientId id);
  bool held_by_somebody(RecipientId id, SteadyTime now) const;
  void forget_token(std::uint64_t token);
  void erase(std::unordered_map<RecipientId, Entry>::iterator entry);

  mutable std::mutex mutex_;
  std::uint64_t last_token_;
  std::unordered_map<RecipientId, Entry> entries_;
  std::unordered_map<std::uint64_t, Lease> leases_;
  std::unordered_map<std::string, std::size_t> domains_;
  std::vector<RecipientId> settled_;
  unsigned readers_ = 0;
};

}  // namespace holdfast
