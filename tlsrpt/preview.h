// tlsrpt/preview.h — the reports of a day as they would go out now: `holdfast tlsrpt preview`.
#pragma once

#include "smtp/dns/resolver.h"
#include "tlsrpt/report_json.h"

namespace holdfast {

struct TargetLookup {
  std::vector<ReportTarget> targets;
  std::string unknown;  // why nothing is known of them: DNS failed, or the record is malformed; "" otherwise
  bool temporary = false;  // asking again may help
};

// Looks _smtp._tls.<domain> up.
asio::awaitable<TargetLookup> lookup_report_targets(Resolver& resolver, DomainName domain);

// JSON lines, one per report; `domain` empty = all.
asio::awaitable<Result<std::string>> preview_reports(DurableLedger& ledger, Resolver& resolver,
                                                     ReportSender sender, std::chrono::sys_days day,
                                                     DomainName domain);

}  // namespace holdfast
