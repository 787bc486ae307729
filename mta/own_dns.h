// mta/own_dns.h — does DNS say of the relay and its domains what it should? The records that `holdfast init`
// printed, looked up as receivers do, each finding with what to change.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/settings.h"
#include "queue/dkim_key.h"
#include "smtp/base/random.h"
#include "smtp/dns/resolver.h"
#include "sts/policy_fetcher.h"

namespace holdfast {

struct OwnDnsFinding {
  enum class Severity {
    good,
    hint,     // worth having; nothing is wrong without it
    warning,  // some receivers will think less of the mail
    error,    // mail will be refused, or a promise of the configuration is not kept
    unknown,  // DNS did not answer
  } severity = Severity::good;
  std::string record;  // "example.com TXT (SPF)"
  std::string text;    // what was found
  std::string remedy;  // what to change; a zone line where there is one
};
const char* name(OwnDnsFinding::Severity severity);

// A signing key and where its record belongs.
struct OwnKey {
  std::string domain, selector;
  std::string record;  // DkimKey::record(); "" = the key is missing or cannot be read, `trouble` says which
  std::string trouble;
  bool in_use = true;  // signs now; another waits for its turn
};

struct OwnDnsRequest {
  std::string hostname;
  std::vector<std::string> names;      // that a PTR may carry: the hostname and those of [[source]]s
  std::vector<std::string> addresses;  // where connections leave from; empty: those that the hostname has
  std::vector<std::string> domains;    // that send, as A-labels
  std::vector<OwnKey> keys;
  std::string report_address;  // for a TLS-RPT record
};

// What these settings ask to be published. Without `domains`: those with a key, and that of the reports'
// contact; without `addresses`: those of [[source]]s, or of the hostname.
OwnDnsRequest own_dns_request(const Settings& settings, std::vector<std::string> domains,
                              std::vector<std::string> addresses);

asio::awaitable<std::vector<OwnDnsFinding>> check_host(Resolver& resolver, OwnDnsRequest request);
asio::awaitable<std::vector<OwnDnsFinding>> check_key(Resolver& resolver, OwnKey key);
// SPF, DKIM, TLS-RPT and MTA-STS of one domain. `addresses`: those of the request, or of the hostname.
asio::awaitable<std::vector<OwnDnsFinding>> check_own_domain(Resolver& resolver, PolicyFetcher& fetcher,
                                                             Random& random, OwnDnsRequest request,
                                                             std::string domain);
// All of it.
asio::awaitable<std::vector<OwnDnsFinding>> check_own_dns(Resolver& resolver, PolicyFetcher& fetcher,
                                                          Random& random, OwnDnsRequest request);

// What `key_dir` holds and what `selector` would sign with: for each of `domains`, and for each domain that
// has a key. With `all` also keys of other selectors.
std::vector<OwnKey> own_keys(const DkimSettings& settings, const std::vector<std::string>& domains, bool all);

}  // namespace holdfast
