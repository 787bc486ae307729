// mta/page/status_site.h — the page at admin.http for people: gathers what status_page.h shows.
//
//   GET /              the status page; with ?q=TERM the search: a queue id leads to its message
//   GET /message/ID    what became of a message
//
// Reads only. Bounded: looks at the kLookedAt oldest recipients of the queue, however long it is. Runs on the
// shared executor, behind the rules of admin_http.h.
#pragma once

#include "config/settings_source.h"
#include "mta/admin_http.h"
#include "mta/page/status_page.h"
#include "queue/scheduler.h"
#include "sts/policy_service.h"
#include "tlsrpt/reporter.h"

namespace holdfast {

inline constexpr std::size_t kLookedAt = 2000;
inline constexpr std::size_t kMessageIdsLookedAt = 5000;  // the newest recipients, queued or remembered

// What only the relay as a whole knows.
class RelayFactsSource {
 public:
  virtual ~RelayFactsSource() = default;
  virtual RelayFacts facts() = 0;  // at once, from memory; on the shared executor
};

class StatusSite {
 public:
  struct Parts {  // all outlive it
    RelayFactsSource& relay;
    Store& store;
    Scheduler& scheduler;
    PolicyService& policies;
    Reporter& reporter;
    const SettingsSource& settings;
    const Timeline& timeline;
  };
  explicit StatusSite(Parts parts) : parts_(parts) {}

  static bool is_mine(const std::string& path) { return path == "/" || path.starts_with("/message/"); }
  asio::awaitable<AdminResponse> answer(AdminRequest request);

 private:
  asio::awaitable<AdminResponse> status();
  asio::awaitable<AdminResponse> search(std::string term);
  // Adds what has this Message-ID; there is no index of them, so only the newest are looked at.
  asio::awaitable<Result<void>> find_message_id(SearchView& view);
  asio::awaitable<AdminResponse> message(QueueId id);
  asio::awaitable<void> add_queue(StatusView& view);
  asio::awaitable<void> add_policies(StatusView& view);
  asio::awaitable<void> add_reports(StatusView& view);

  Parts parts_;
};

// Pure: what the oldest recipients and the scheduler's destinations say together about who waits.
void add_waiting(StatusView& view, const std::vector<QueueRow>& oldest,
                 const std::vector<DestinationStatus>& destinations, WallTime now);

}  // namespace holdfast
