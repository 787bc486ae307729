// tlsrpt/reporter_state.h — the state machine of one report, (domain, day). Pure: time is an argument.
//
//   (collecting)  no row: the day's sessions are in the ledger
//   frozen        the day is over; what is in the ledger is the report
//   built         its text and id are fixed, its targets known; each of them is on its own:
//                 waiting → queued (mail) | sent (HTTPS) | given up
//   done          every target ended, or there was nothing to send or nobody to send it to
//
// Each change is made durable before the next step is taken, so a stop between two steps repeats at most the
// step that was under way: a mail is accepted once per key, and a lookup harms nobody. A POST whose answer
// was lost is repeated with the same report-id, by which receivers know it (RFC 8460 section 5.4).
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "smtp/base/clock.h"
#include "smtp/base/queue_id.h"
#include "tlsrpt/preview.h"

namespace holdfast {

enum class ReportState { frozen = 0, built = 1, done = 2 };
const char* name(ReportState state);

enum class TargetState {
  waiting = 0,
  queued = 1,    // mail: in the queue, which answers for it
  sent = 2,      // HTTPS: 2xx; mail: delivered
  given_up = 3,  // retry_for is over, or there is no hope
  bounced = 4,   // mail: the queue gave up, or the receiver refused it
};
const char* name(TargetState state);

// Why nothing is sent, by the wish of the domain or of the operator: no news. Every other reason is told by
// `tlsrpt status` without being asked for.
inline constexpr std::string_view kNotAskedFor = "the domain asks for no reports";
inline constexpr std::string_view kSwitchedOff = "tlsrpt.enabled is false";
inline constexpr std::string_view kExcluded = "excluded by tlsrpt.exclude";
inline constexpr std::string_view kHttpsIsOff = "its targets are all https, and tlsrpt.https is false";
inline constexpr std::string_view kNothingFailed = "nothing failed, and tlsrpt.only_failures is true";
inline constexpr std::array kWishes{kNotAskedFor, kSwitchedOff, kExcluded, kHttpsIsOff, kNothingFailed};

struct TargetProgress {
  ReportTarget target;
  TargetState state = TargetState::waiting;
  unsigned attempts = 0;
  WallTime next{};     // of the next attempt, while waiting
  std::string reason;  // why it waits or failed
};

struct ReportProgress {
  std::chrono::sys_days day;
  DomainName domain;
  ReportState state = ReportState::frozen;
  unsigned lookups = 0;             // of the targets, that failed
  WallTime next{};                  // of the next step, while frozen
  std::optional<WallTime> started;  // first attempt; retry_for counts from here
  std::optional<WallTime> ended;
  std::string report_id;
  std::string json;    // from built on
  std::string reason;  // done: why nothing was sent; frozen: why it waits
  std::vector<TargetProgress> targets;
};

// How long after midnight this domain's report leaves: the same for a domain every day, spread over `jitter`.
Duration spread(const DomainName& domain, Duration jitter);
// Before the try after the n-th failure: 1, 5, 15, 30 minutes, then an hour.
Duration back_off(unsigned failures);

ReportProgress freeze(std::chrono::sys_days day, const DomainName& domain, Duration jitter, WallTime now);

// Whether a time has come. One further ahead than anything we ever set was set under a wrong clock.
bool is_due(WallTime at, WallTime now);
// When the report wants attention next; nullopt when it is done.
std::optional<WallTime> next_step_at(const ReportProgress& report);

// The lookup of a frozen report. True: there are targets, and the report is to be built for them.
bool looked_up(ReportProgress& report, const TargetLookup& lookup, WallTime now, Duration retry_for);
// Nothing is sent, on purpose.
void skip(ReportProgress& report, std::string why, WallTime now);
void built(ReportProgress& report, std::string id, std::string json, const std::vector<ReportTarget>& targets,
           WallTime now);

struct Attempt {
  enum class Result {
    sent,     // HTTPS: 2xx
    queued,   // mail: the queue has it
    again,    // may go well later
    hold,     // not tried: something of ours is missing
    useless,  // will never go well
  } result = Result::again;
  std::string reason;
};
// What became of trying targets[index].
void tried(ReportProgress& report, std::size_t index, const Attempt& attempt, WallTime now,
           Duration retry_for);

// What a target in state `queued` has as its reason, and the mail's id out of it.
std::string queued_reason(const QueueId& id);
std::optional<QueueId> queued_id(const TargetProgress& target);

// Identifies the mail to this target across restarts: the idempotency key of its envelope.
std::string mail_key(const std::string& report_id, const ReportTarget& target);

}  // namespace holdfast
