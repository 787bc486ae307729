// sts/policy_fetcher.h — one fetch of a domain's policy, RFC 8461 section 3.3.
//
// https://mta-sts.<domain>/.well-known/mta-sts.txt; only status 200 with text/plain counts, read to its end
// and at most sts.max_policy_size octets. The limits come from the settings of the moment.
#pragma once

#include <memory>

#include "config/settings_source.h"
#include "sts/https_client.h"
#include "sts/policy.h"

namespace holdfast {

class PolicyFetcher {
 public:
  virtual ~PolicyFetcher() = default;
  // Errors: StsError, or BaseError::cancelled.
  virtual asio::awaitable<Result<StsPolicy>> fetch(DomainName domain) = 0;
};

// Both outlive it; used on the executor of `https`.
std::unique_ptr<PolicyFetcher> make_policy_fetcher(HttpsClient& https, const SettingsSource& settings);

}  // namespace holdfast
