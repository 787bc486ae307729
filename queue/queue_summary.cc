#include "queue/queue_summary.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "queue/queue_query.h"

namespace holdfast {
namespace {

struct AgeBucket {
  std::chrono::minutes below;
  const char* name;
};
constexpr std::array<AgeBucket, 7> kAges = {{{std::chrono::minutes(5), "below 5 minutes"},
                                             {std::chrono::minutes(30), "5 to 30 minutes"},
                                             {std::chrono::minutes(120), "30 minutes to 2 hours"},
                                             {std::chrono::minutes(480), "2 to 8 hours"},
                                             {std::chrono::minutes(1440), "8 to 24 hours"},
                                             {std::chrono::minutes(2880), "1 to 2 days"},
                                             {std::chrono::minutes::max(), "above 2 days"}}};

std::size_t age_bucket(std::chrono::microseconds age) {
  for (std::size_t i = 0; i + 1 < kAges.size(); ++i)
    if (age < kAges[i].below) return i;
  return kAges.size() - 1;
}

std::size_t age_rank(const std::string& key) {
  for (std::size_t i = 0; i < kAges.size(); ++i)
    if (key == kAges[i].name) return i;
  return 0;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// What differs from message to message: addresses, and words that are long and hold digits, but no dots.
bool is_particular(std::string_view word) {
  if (word.find('@') != std::string_view::npos) return true;
  const auto digits = std::count_if(word.begin(), word.end(), is_digit);
  return digits >= 4 && word.find('.') == std::string_view::npos;
}

}  // namespace

std::optional<SummaryBy> summary_by(std::string_view name) {
  if (name == "domain") return SummaryBy::domain;
  if (name == "state") return SummaryBy::state;
  if (name == "age") return SummaryBy::age;
  if (name == "error") return SummaryBy::error;
  if (name == "sender") return SummaryBy::sender;
  if (name == "user") return SummaryBy::user;
  return std::nullopt;
}

std::string error_kind(std::string_view reason) {
  if (reason.empty()) return "(none yet)";
  std::string out;
  bool left_out = false;
  while (!reason.empty()) {
    const auto end = std::min(reason.find(' '), reason.size());
    const auto word = reason.substr(0, end);
    reason.remove_prefix(std::min(reason.size(), end + 1));
    const bool particular = is_particular(word);
    if (particular && left_out) continue;
    out += (out.empty() ? "" : " ") + (particular ? std::string("…") : std::string(word));
    left_out = particular;
  }
  return out;
}

std::string QueueSummary::key_of(const QueueRow& row) const {
  switch (by_) {
    case SummaryBy::domain: return row.address.domain();
    case SummaryBy::state: return shown_state(row);
    case SummaryBy::age: return kAges[age_bucket(now_ - row.meta->accepted)].name;
    case SummaryBy::error: return error_kind(row.reason);
    case SummaryBy::sender: return row.meta->reverse_path.empty() ? "<>" : row.meta->reverse_path.text();
    case SummaryBy::user: return row.meta->user;
  }
  return "";
}

void QueueSummary::add(const QueueRow& row) {
  if (message_ != row.meta->id) {
    message_ = row.meta->id;
    keys_of_message_.clear();
  }
  std::string key = key_of(row);
  if (!lines_.contains(key) && lines_.size() >= kMostSummaryKeys) key = kOtherKeys;
  SummaryLine& line = lines_[key];
  if (line.recipients == 0) line.oldest = row.meta->accepted;
  line.key = key;
  ++line.recipients;
  line.oldest = std::min(line.oldest, row.meta->accepted);
  if (!keys_of_message_.insert(std::move(key)).second) return;
  ++line.messages;
  line.bytes += row.meta->prefix_size + row.meta->body_size;
}

std::vector<SummaryLine> QueueSummary::lines() const {
  std::vector<SummaryLine> out;
  for (const auto& [key, line] : lines_) out.push_back(line);
  std::stable_sort(out.begin(), out.end(), [this](const SummaryLine& a, const SummaryLine& b) {
    if (by_ == SummaryBy::age) return age_rank(a.key) > age_rank(b.key);
    return a.recipients > b.recipients;
  });
  return out;
}

}  // namespace holdfast
