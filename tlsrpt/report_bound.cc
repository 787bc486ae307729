#include "tlsrpt/report_bound.h"

#include <algorithm>

#include "tlsrpt/report_json.h"

namespace holdfast {

namespace {

// Keeps the `most` largest failures of each policy and folds the others by their result.
void fold(Report& report, std::size_t most) {
  for (auto& policy : report.policies) {
    if (policy.failures.size() <= most) continue;
    std::vector<FailureDetails> kept(policy.failures.begin(),
                                     policy.failures.begin() + static_cast<std::ptrdiff_t>(most));
    for (std::size_t i = most; i < policy.failures.size(); ++i) {
      const auto& small = policy.failures[i];
      auto folded = std::find_if(kept.begin(), kept.end(), [&](const auto& failure) {
        return failure.result == small.result && failure.additional_information == kFoldedNote;
      });
      if (folded == kept.end()) {
        FailureDetails line;
        line.result = small.result;
        line.additional_information = kFoldedNote;
        folded = kept.insert(kept.end(), std::move(line));
      }
      folded->failed_sessions += small.failed_sessions;
    }
    policy.failures = std::move(kept);
  }
}

// Keeps the `most` busiest policies; each further one is counted with others of its type and domain.
void merge(Report& report, std::size_t most) {
  if (report.policies.size() <= most) return;
  std::stable_sort(report.policies.begin(), report.policies.end(), [](const auto& a, const auto& b) {
    return a.successful + a.failed > b.successful + b.failed;
  });
  std::vector<ReportedPolicy> kept(report.policies.begin(),
                                   report.policies.begin() + static_cast<std::ptrdiff_t>(most));
  for (std::size_t i = most; i < report.policies.size(); ++i) {
    auto& small = report.policies[i];
    auto same =
        std::find_if(kept.begin() + static_cast<std::ptrdiff_t>(most), kept.end(), [&](const auto& policy) {
          return policy.type == small.type && (policy.domain == small.domain || kept.size() > 2 * most);
        });
    if (same == kept.end()) {
      small.text.clear();
      small.mx.clear();
      kept.push_back(std::move(small));
      continue;
    }
    same->successful += small.successful;
    same->failed += small.failed;
    same->failures.insert(same->failures.end(), small.failures.begin(), small.failures.end());
  }
  report.policies = std::move(kept);
}

}  // namespace

std::string bounded_report_json(Report report, std::size_t max_size) {
  std::string json = report_json(report);
  for (std::size_t most = 64; json.size() > max_size && most > 0; most /= 4) {
    fold(report, most);
    json = report_json(report);
  }
  if (json.size() <= max_size) return json;
  for (auto& policy : report.policies) {
    policy.text.clear();
    policy.mx.clear();
  }
  json = report_json(report);
  for (std::size_t most = 1024; json.size() > max_size && most > 0; most /= 4) {
    merge(report, most);
    fold(report, 1);
    json = report_json(report);
  }
  return json;
}

}  // namespace holdfast
