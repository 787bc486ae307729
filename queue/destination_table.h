// queue/destination_table.h — all destinations with work in memory or a memory of their own, and whose turn
// it is.
//
// Round robin: a destination with work that may start stands once in the ring; after each permit it goes to
// the end. No I/O; time is an argument. Pointers stay valid until evict().
#pragma once

#include <deque>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "queue/destination.h"
#include "queue/route_table.h"

namespace holdfast {

class DestinationTable {
 public:
  // The destination of mail to `domain` from `sender`; made when it is not there.
  Destination& of(const RouteTable& routes, const std::string& domain, const Mailbox& sender, SteadyTime now);
  // By recipient domain, when no sender matters; nullptr when there is none (yet).
  Destination* find(const RouteTable& routes, const std::string& domain);
  // What operators call by this name: a domain, or the next hops of a route.
  std::vector<Destination*> named(const std::string& name);

  // To be called after anything that may have made it runnable.
  void schedule(Destination& destination, SteadyTime now, unsigned limit);
  // Whose turn it is; nullptr when nothing may start now. The caller takes its work and calls schedule()
  // again.
  Destination* next(SteadyTime now, unsigned limit);
  // Those that were held until now come back into the ring; returns when the next one does.
  std::optional<SteadyTime> wake(SteadyTime now, unsigned limit);

  void pause(const std::string& name, bool on);
  // Drops destinations that nothing would be lost with and that were not used for `unused`.
  void evict(SteadyTime now, Duration unused);
  std::size_t size() const { return all_.size(); }
  template <class F>
  void for_each(F f) {
    for (auto& [key, destination] : all_) f(*destination);
  }

 private:
  std::unordered_map<std::string, std::unique_ptr<Destination>> all_;  // by domain, or route_key()
  std::deque<Destination*> ring_;
  std::multimap<SteadyTime, Destination*> held_;
  std::set<std::string> paused_;
};

}  // namespace holdfast
