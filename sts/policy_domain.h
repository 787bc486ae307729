// sts/policy_domain.h — what the policy service knows of one domain; private to its .cc files.
//
// policy_service.cc decides when to look and fetch and answers; policy_notes.cc keeps what a look or a fetch
// showed and raises the alarms; policy_keeping.cc refreshes, evicts and forgets;
// policy_rows.cc looks after what is on disk.
#pragma once

#include "smtp/base/notifier.h"
#include "sts/policy_service.h"

namespace holdfast {

inline constexpr Duration kFirstBackOff = std::chrono::minutes(5);  // of one id; doubles
inline constexpr Duration kLongestBackOff = std::chrono::hours(1);

StsError sts_error_of(const Error& error);
// What a policy takes in memory, near enough for a bound.
std::size_t octets_of(const CachedPolicy& policy);

struct PolicyService::Flight {
  explicit Flight(Want w) : want(w) {}
  Want want;
  bool decided = false;  // too late to ask for more
  bool landed = false;   // `result` is there
  StsLookup result;
  Notifier done;
};

struct PolicyService::Domain {
  enum class Record { unlooked, unknown, absent, invalid, present };

  std::optional<CachedPolicy> policy;  // may have expired
  bool loaded = false;                 // at start, not fetched in this run
  SteadyTime refresh_at{};

  Record record = Record::unlooked;
  std::string id;      // of the record, when present
  std::string detail;  // why it is not
  SteadyTime looked{};

  std::string failed_id;
  std::optional<Error> failure;  // of the last fetch, for failed_id
  SteadyTime retry_at{};
  Duration back_off{};
  std::string alarmed;  // what sts_downgrade was last raised for

  SteadyTime used{};
  std::shared_ptr<Flight> flight;
};

}  // namespace holdfast
