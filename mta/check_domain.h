// mta/check_domain.h — a dry run of a delivery to a domain: what a message would meet now, and why.
//
// Procedure, for the domain itself or, where a [[route]] takes its mail, for each of the route's next hops on
// the route's terms: MX lookup; the planner's word on each MX (its MTA-STS policy looked up afresh, its TLSA
// set); a connection to every address of every usable MX up to the EHLO after TLS (and the route's login),
// where it ends with QUIT. No mail command is sent. These are the deliveries' own planner, decide(),
// open_connection() and verdicts; only the limits of time are shorter. The result keeps every DNS answer, so
// that each step shows its evidence.
//
// An MX that policy excludes is not connected to, as in a delivery.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mta/recording_resolver.h"
#include "mta/standalone.h"
#include "queue/delivery_connect.h"
#include "queue/delivery_verdict.h"
#include "queue/next_hop.h"
#include "tlsrpt/preview.h"

namespace holdfast {

enum class CheckVerdict {
  delivered,  // as the domain asks
  lowered,    // delivered, but with less than the domain asks: an [[exception]] or mode observe allows it
  held,       // it would wait in the queue
  bounced,
  unknown,  // DNS cannot tell: it would wait
};
const char* name(CheckVerdict verdict);

// One address of an MX.
struct CheckedAddress {
  IpBytes ip{};
  OpenResult opened;          // of the first connection; its `connection` is always empty
  bool reached = false;       // a message could travel, on this connection or on `in_clear`
  bool fell_back = false;     // TLS failed, and a second connection was made in clear as the plan allows
  std::string clear_problem;  // why the second one failed
  std::optional<Extensions> extensions;  // of the session that could carry mail
  Verdict verdict;                       // why it could not be reached
};

struct CheckedMx {
  MxPlan plan;
  std::string pattern;  // of the MTA-STS policy, that the name matches; "" = none
  std::vector<CheckedAddress> addresses;
  CheckVerdict verdict = CheckVerdict::held;
  std::string reason;  // one line
  std::string hint;    // for the domain's owner; "" = nothing to mend
};

// Where a message would go: the domain itself, or one entry of its route's `via`.
struct CheckedHop {
  Hop hop;
  std::string via;  // "mx:corp.example:25" as the route has it; "" = no route
  MxSet mx_set;
  TlsPlan plan;  // its `mx` is moved into `mx`
  StsLookup sts;
  std::string policy_source;   // "fetched", "cache" or ""
  std::string policy_failure;  // why the policy could not be fetched now, though one is in force
  std::vector<CheckedMx> mx;
};

struct CheckResult {
  DomainName domain;
  WallTime at{};
  bool validating = false;         // the resolver was seen to validate DNSSEC
  std::string cache_unread;        // why the relay's cached policies could not be read
  std::string route;               // the [[route]] that takes mail for the domain; "" = none does
  bool depends_on_sender = false;  // a route is for some senders only; this is the way of all others
  std::vector<ExceptionSettings> exceptions;  // in force for a next hop or one of its MX hosts
  std::vector<CheckedHop> hops;               // in the order in which a delivery tries them
  std::vector<SeenAnswer> records;
  CheckVerdict verdict = CheckVerdict::held;
  Verdict message;              // what a message would meet; kind delivered when it would be
  std::vector<Report> reports;  // the TLS-RPT line: at most one for each hop
  DomainName report_domain;     // whose targets these are: the hop that was reached, else the first
  TargetLookup report_targets;
};

asio::awaitable<CheckResult> check_domain(Standalone& tools, DomainName domain);

// What the domain's owner should mend about this MX. Pure.
std::string hint_for(const MxPlan& plan, const OpenResult* opened);

// One JSON object, one line: {schema, domain, policy, mx: [{host, verdict, …}], verdict, tlsrpt, …}. Pure.
std::string check_json(const CheckResult& result);

// For people; each line may hold what a peer sent. Pure.
std::vector<std::string> check_text(const CheckResult& result);

// "300", "AD" and the data of an answer as a zone file writes them.
std::string record_data_text(const RecordData& data);
const char* name(RecordType type);

}  // namespace holdfast
