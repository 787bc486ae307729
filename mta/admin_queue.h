// mta/admin_queue.h — the queue's part of the admin API: list, show, and the operator's bulk changes.
#pragma once

#include "mta/admin_http.h"
#include "queue/ready_work.h"
#include "queue/store.h"

namespace holdfast {

inline constexpr std::size_t kMaxListedRows = 100'000;  // one answer; the client asks on with `after`

// The filters of a request, or what is wrong with them.
Result<QueueFilter> parse_queue_filter(const std::map<std::string, std::string>& query, WallTime now);

// "45s", "90m", "2h", "3d"; nullopt otherwise.
std::optional<std::chrono::seconds> parse_age(std::string_view text);

class AdminQueue {
 public:
  // All outlive this object. `work` is told when mail becomes due by an operator's hand.
  AdminQueue(Store& store, ReadyWork& work, const Timeline& timeline, Log& log)
      : store_(store), work_(work), timeline_(timeline), log_(log) {}

  asio::awaitable<AdminResponse> list(AdminRequest request);
  asio::awaitable<AdminResponse> message(std::string id);
  // `what`: retry, hold, release, remove. With dry=1 only counts.
  asio::awaitable<AdminResponse> change(std::string what, AdminRequest request);

 private:
  // All rows that match, page by page, `deferred` and `active` told apart from `queued`.
  asio::awaitable<Result<std::vector<QueueRow>>> matching(QueueFilter filter, std::string state);

  Store& store_;
  ReadyWork& work_;
  const Timeline& timeline_;
  Log& log_;
};

}  // namespace holdfast
