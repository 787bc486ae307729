// queue/queue_summary.h — the queue summed up: how much waits, by what, for how long. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "queue/store.h"

namespace holdfast {

enum class SummaryBy { domain, state, age, error, sender, user };
std::optional<SummaryBy> summary_by(std::string_view name);

// More different keys than anybody reads; the rest is summed up under kOtherKeys, so that memory is bounded.
inline constexpr std::size_t kMostSummaryKeys = 2000;
inline constexpr std::string_view kOtherKeys = "(all others)";

struct SummaryLine {
  std::string key;
  std::uint64_t recipients = 0;
  std::uint64_t messages = 0;  // with a recipient under this key
  std::uint64_t bytes = 0;     // of these messages
  WallTime oldest{};           // accepted time
};

class QueueSummary {
 public:
  QueueSummary(SummaryBy by, WallTime now) : by_(by), now_(now) {}

  // Rows of one message come one after the other.
  void add(const QueueRow& row);
  // The fullest first; by age the oldest first.
  std::vector<SummaryLine> lines() const;

 private:
  std::string key_of(const QueueRow& row) const;

  SummaryBy by_;
  WallTime now_;
  std::map<std::string, SummaryLine> lines_;
  std::optional<QueueId> message_;  // of the last row
  std::set<std::string> keys_of_message_;
};

// What errors of the same kind have in common: addresses, queue ids and long numbers are left out.
std::string error_kind(std::string_view reason);

}  // namespace holdfast
