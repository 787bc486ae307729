// mta/page/status_page.h — the status page and the page of a message, as HTML. Pure: what is shown comes in
// structs, and is escaped in html.h.
//
// Works without scripts, loads nothing, and carries its style inside, named by its hash in the
// Content-Security-Policy.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "mta/page/traffic.h"
#include "queue/store.h"
#include "sts/policy_service.h"
#include "tlsrpt/reporter_state.h"

namespace holdfast {

// Recipients by the age of their message.
struct QueueAges {
  static constexpr std::array<std::int64_t, 5> kBounds{300, 3600, 4 * 3600, 86400, 5 * 86400};  // seconds
  struct Row {
    std::uint64_t waiting = 0, held = 0;
  };
  std::array<Row, kBounds.size() + 1> rows;  // below each bound, then above the last
  std::uint64_t not_looked_at = 0;           // younger than those counted
};

struct WaitingDestination {
  std::string name, state;  // backing-off, paused, deferred
  std::string why;
  bool policy = false;           // for TLS policy
  std::uint64_t recipients = 0;  // among those looked at
  std::optional<WallTime> oldest, retry_at;
};

struct TlsSessions {
  std::string policy, result_type;  // labels of tls_sessions_total
  std::uint64_t sessions = 0;
};

// What is true of the relay as a whole.
struct RelayFacts {
  std::string hostname, version;
  WallTime now{}, started{};
  std::vector<std::string> not_ready;  // why
  struct Listener {
    std::string address;
    std::uint64_t connections = 0;
  };
  std::vector<Listener> listeners;
  std::uint64_t outgoing = 0;
  bool validating = false;
  std::vector<TrafficMinute> traffic;  // the last minute first
  std::vector<TlsSessions> tls;
};

struct StatusView {
  RelayFacts relay;
  std::optional<StoreStats> stats;
  QueueAges ages;
  std::vector<WaitingDestination> waiting;  // those with the most recipients first
  std::size_t waiting_in_all = 0;
  std::vector<PolicyEntry> policies;  // those whose last fetch failed first
  std::size_t policies_in_all = 0;
  std::map<std::string, std::size_t> policy_modes;
  std::chrono::sys_days report_day{};
  std::vector<ReportProgress> reports;
  std::vector<std::string> errors;  // what could not be read
};

struct SearchView {
  std::string hostname, term;
  WallTime now{};
  std::vector<QueueRow> rows;  // the newest first
  bool more = false;
  bool limited = false;  // not all that is remembered was looked at for a Message-ID
  std::string error;
};

struct MessageView {
  std::string hostname;
  QueueId id;
  WallTime now{};
  std::optional<MessageMeta> meta;  // nullopt: only its history is left
  std::vector<QueueRow> rows;
  std::vector<HistoryEntry> history;
  std::string error;
};

inline constexpr std::size_t kMostWaitingShown = 1000;
inline constexpr std::size_t kMostPoliciesShown = 50;
inline constexpr std::size_t kMostReportsShown = 100;
inline constexpr std::size_t kMostFound = 100;

std::string status_html(const StatusView& view);
std::string search_html(const SearchView& view);
std::string message_html(const MessageView& view);

// The value of Content-Security-Policy that these pages need; names the hash of their style.
const std::string& page_content_policy();

}  // namespace holdfast
