#include "queue/destination_table.h"

#include <algorithm>

namespace holdfast {

Destination& DestinationTable::of(const RouteTable& routes, const std::string& domain, const Mailbox& sender,
                                  SteadyTime now) {
  auto route = routes.find(domain, sender);
  auto& place = all_[route ? route_key(*route) : domain];
  if (!place) {
    const std::string name = route ? route_name(*route) : domain;
    place = std::make_unique<Destination>(name, route ? std::string() : domain, route, now);
    place->pause(paused_.contains(name));
  } else if (route) {
    place->set_route(std::move(route));
  }
  return *place;
}

Destination* DestinationTable::find(const RouteTable& routes, const std::string& domain) {
  if (routes.depends_on_sender(domain)) return nullptr;
  const auto route = routes.find(domain, Mailbox());
  const auto found = all_.find(route ? route_key(*route) : domain);
  return found == all_.end() ? nullptr : found->second.get();
}

std::vector<Destination*> DestinationTable::named(const std::string& name) {
  std::vector<Destination*> out;
  for (auto& [key, destination] : all_)
    if (destination->name() == name) out.push_back(destination.get());
  return out;
}

void DestinationTable::schedule(Destination& destination, SteadyTime now, unsigned limit) {
  if (destination.in_ring) return;
  if (destination.runnable(now, limit)) {
    destination.in_ring = true;
    ring_.push_back(&destination);
  } else if (destination.held_until() > now && destination.ready() > 0) {
    const auto [from, to] = held_.equal_range(destination.held_until());
    const bool known = std::any_of(from, to, [&](const auto& entry) { return entry.second == &destination; });
    if (!known) held_.emplace(destination.held_until(), &destination);
  }
}

Destination* DestinationTable::next(SteadyTime now, unsigned limit) {
  while (!ring_.empty()) {
    Destination* first = ring_.front();
    ring_.pop_front();
    first->in_ring = false;
    if (first->runnable(now, limit)) return first;
    schedule(*first, now, limit);  // it may be held
  }
  return nullptr;
}

std::optional<SteadyTime> DestinationTable::wake(SteadyTime now, unsigned limit) {
  while (!held_.empty() && held_.begin()->first <= now) {
    Destination* destination = held_.begin()->second;
    held_.erase(held_.begin());
    schedule(*destination, now, limit);
  }
  return held_.empty() ? std::nullopt : std::optional(held_.begin()->first);
}

void DestinationTable::pause(const std::string& name, bool on) {
  if (on) {
    paused_.insert(name);
  } else {
    paused_.erase(name);
  }
  for (Destination* destination : named(name)) destination->pause(on);
}

void DestinationTable::evict(SteadyTime now, Duration unused) {
  std::set<const Destination*> held;
  for (const auto& [at, destination] : held_) held.insert(destination);
  std::erase_if(all_, [&](const auto& entry) {
    const Destination& d = *entry.second;
    return d.idle(now) && !d.in_ring && now - d.last_used() >= unused && !held.contains(&d);
  });
}

}  // namespace holdfast
