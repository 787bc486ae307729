// queue/connection_budget.h — how many connections may be open: in all, and to one MX host over all
// destinations behind it (`connections_total`, `connections_per_mx`), and how fast new messages may go to a
// host (`rate_per_mx`).
//
// Shared by all workers; a short lock around a table, never held across I/O. A 4xx reply that asks to slow
// down halves what a host is allowed for a while; it recovers step by step.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "config/settings.h"
#include "smtp/base/clock.h"

namespace holdfast {

class ConnectionBudget {
 public:
  // An open connection; gives its place back when it is destroyed. Outlived by the budget.
  class Place {
   public:
    Place() = default;
    Place(Place&& other) noexcept
        : budget_(std::exchange(other.budget_, nullptr)), host_(std::move(other.host_)) {}
    Place& operator=(Place&& other) noexcept;
    ~Place() { release(); }
    explicit operator bool() const { return budget_ != nullptr; }

   private:
    friend class ConnectionBudget;
    Place(ConnectionBudget* budget, std::string host) : budget_(budget), host_(std::move(host)) {}
    void release();
    ConnectionBudget* budget_ = nullptr;
    std::string host_;
  };

  // An empty Place when a limit is reached. Within the next second somebody who has an idle connection to the
  // host, or is about to have one, is to give way: one for each that was turned away here.
  Place open(const std::string& host, const DeliverySettings& limits, SteadyTime now);
  bool give_way(const std::string& host, SteadyTime now);

  // May a message go to the host now? False: when it may is in `at`. Counts it when it may.
  bool take_message(const std::string& host, const DeliverySettings& limits, SteadyTime now, SteadyTime& at);
  // The host asked to slow down, or took a message.
  void slow_down(const std::string& host, const DeliverySettings& limits, SteadyTime now);

  std::size_t open_in_all() const { return total_; }
  std::size_t open_to(const std::string& host) const;

 private:
  struct Host {
    unsigned open = 0;
    unsigned allowed = 0;  // 0: as configured; else lowered by slow_down()
    SteadyTime lowered_at{};
    SteadyTime wanted_until{};
    unsigned wanted = 0;  // connections that were turned away
    double tokens = 0;    // messages that may go at once
    bool bucket_started = false;
    double rate_factor = 1;  // lowered by slow_down()
    SteadyTime filled_at{};
  };
  void close(const std::string& host);
  static void recover(Host& host, const DeliverySettings& limits, SteadyTime now);
  void forget_unused(SteadyTime now);

  mutable std::mutex mutex_;
  std::map<std::string, Host> hosts_;
  std::atomic<std::size_t> total_ = 0;
};

}  // namespace holdfast
