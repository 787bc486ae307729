// queue/delivery_record.h — what became of recipients of a message, as one batch for the store: completions,
// deferrals, the notifications that they cause, and history. Pure.
//
// A bounce stands in the very batch that ends its recipients, so a crash neither loses nor doubles it; and
// the store refuses the batch when one of them is no longer ours to end (Batch::refuse_if_stale).
#pragma once

#include <string>
#include <vector>

#include "queue/delivery_agent.h"
#include "queue/delivery_verdict.h"
#include "queue/dsn.h"
#include "smtp/base/log.h"

namespace holdfast {

// Of a chain that failed; longer ones are rare, and what is wrong stands at their beginning.
inline constexpr std::size_t kCertificatesInHistory = 4;

// What became of one recipient in one attempt.
struct Ending {
  ClaimedRecipient recipient;
  ClaimToken token;
  Verdict verdict;
  Fate fate = Fate::deferred;
  WallTime next_attempt{};  // deferred, given_back
  Duration took{};          // of the attempt; for the log
};

struct RecordRequest {
  std::shared_ptr<const MessageMeta> meta;
  std::vector<Ending> endings;
  std::string header;  // Store::read_header of the message where needs_header()
  SettingsPtr settings;
  WallTime now{};
  std::vector<HistoryEntry> history;  // of the attempt, besides what is written here
};

// `verdict` on a recipient, turned into its fate now.
Ending ending_of(const MessageMeta& meta, ClaimToken token, ClaimedRecipient recipient, Verdict verdict,
                 WallTime now, const Settings& settings, Random& random);

// Does some notification have to quote the message?
bool needs_header(const MessageMeta& meta, const std::vector<Ending>& endings, WallTime now,
                  const Settings& settings);

struct DeliveryRecord {
  struct End {
    RecipientId recipient = 0;
    RecipientEnd told;
  };
  Batch batch;
  std::vector<End> ends;  // for the origin, once durable
  std::vector<GrantSink::Settled> settled;
  RecordRequest request;  // that it was made of: for the log, once durable, and to make it anew
};
DeliveryRecord build_record(RecordRequest request, Random& random);
// What the request of a record says of all recipients but these, whose claims were lost: no notification may
// tell that they ended.
RecordRequest without(RecordRequest request, const std::vector<RecipientId>& stale);

// The expiry of a message whose last failure was `last`: 4.4.7, or 5.7.10 where REQUIRETLS could not be met
// (RFC 8689).
Verdict expired_verdict(const MessageMeta& meta, Verdict last);

// The log line of an ending; nothing for one that was given back untried.
void log_ending(Log& log, const MessageMeta& meta, const Ending& ending);
// The same, of an ending that did not come to be recorded: `why`.
void log_unrecorded(Log& log, const MessageMeta& meta, const Ending& ending, const std::string& why);
void add_tls(Fields& fields, const TlsSummary& tls);
// The certificates shown, at most `most` of them: for the history, not for the log.
void add_chain(Fields& fields, const TlsSummary& tls, std::size_t most);

// A batch without staged bodies, once more: apply() consumes what it is given, and may have to be repeated.
Accept copy_of(const Accept& accept);
Batch copy_of(const Batch& batch);
void append(Batch& to, Batch from);

}  // namespace holdfast
