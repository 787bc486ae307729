// sts/policy_store.h — which MTA-STS policy is in force for a domain now.
//
// Procedure of lookup(domain), RFC 8461 sections 3.1, 3.3 and 5.1:
//  1. An unexpired cached policy stands. At most once a minute its record is looked at; a new id starts a
//  fetch.
//  2. Without one, the record is looked up: absent or invalid means none; unknown means the caller waits (at
//     most 30 minutes of a message's life); present means fetch.
//  3. A fetch that fails without a cached policy means none, with fetch_failure set, for the report.
//  4. Only a valid, completely read 200 from the exact host replaces a cached policy; only that or expiry
//  ends it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "smtp/base/asio.h"
#include "smtp/base/clock.h"
#include "sts/policy.h"
#include "sts/sts_error.h"

namespace holdfast {

struct CachedPolicy {
  DomainName domain;
  std::string id;
  StsPolicy policy;
  WallTime fetched{};
  WallTime expires{};  // fetched + max_age
};

struct StsLookup {
  enum class State {
    absent,   // the domain has no policy
    present,  // `cached` is in force
    unknown,  // DNS could not tell and nothing is cached
  } state = State::unknown;
  std::optional<CachedPolicy> cached;
  // A record was there, its policy could not be had, nothing was cached: report as sts with this error.
  std::optional<StsError> fetch_failure;
  std::string detail;
};

class PolicyStore {
 public:
  virtual ~PolicyStore() = default;
  // `fresh`: look at record and policy now, whatever was looked at before (before anything fails for good).
  virtual asio::awaitable<StsLookup> lookup(DomainName domain, bool fresh) = 0;
};

// The durable part, an engine interface: one row per domain. Methods run on the blocking pool's thread of the
// caller or in place; they are short.
class PolicyCache {
 public:
  virtual ~PolicyCache() = default;
  virtual Result<std::vector<CachedPolicy>> load() = 0;      // all unexpired and expired rows, at start
  virtual Result<void> put(const CachedPolicy& policy) = 0;  // durable on return
  virtual Result<void> erase(const DomainName& domain) = 0;
};

}  // namespace holdfast
