// mta/admin_queue.h — the queue's part of the admin API: list, summary, history, show, and the operator's
// bulk changes. Answers of any length are made page by page, as the client reads them.
#pragma once

#include "mta/admin_http.h"
#include "queue/operator_change.h"
#include "queue/queue_query.h"

namespace holdfast {

// What a request asks for.
struct QueueQuestion {
  QueueFilter filter;
  std::string shown;                   // shown_state(); "" = any
  std::optional<std::uint64_t> limit;  // nullopt: all that match
};

// The filters of a request, or what is wrong with them.
Result<QueueQuestion> parse_queue_filter(const std::map<std::string, std::string>& query, WallTime now);

// "45s", "90m", "2h", "3d"; nullopt otherwise.
std::optional<std::chrono::seconds> parse_age(std::string_view text);

class AdminQueue {
 public:
  // All outlive this object.
  AdminQueue(Store& store, OperatorHand& hand, const Timeline& timeline, Log& log)
      : store_(store), hand_(hand), timeline_(timeline), log_(log) {}

  asio::awaitable<AdminResponse> list(AdminRequest request);
  // by=domain, state, age, error, sender or user.
  asio::awaitable<AdminResponse> summary(AdminRequest request);
  // As list(), newest first, and what has ended too.
  asio::awaitable<AdminResponse> history(AdminRequest request);
  asio::awaitable<AdminResponse> message(std::string id);
  asio::awaitable<AdminResponse> content(std::string id, bool trusted);
  // `what`: retry, hold, release, remove, bounce. With dry=1 only counts. Without a filter it wants all=1.
  asio::awaitable<AdminResponse> change(std::string what, AdminRequest request);

 private:
  Store& store_;
  OperatorHand& hand_;
  const Timeline& timeline_;
  Log& log_;
};

}  // namespace holdfast
