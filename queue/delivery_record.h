// queue/delivery_record.h — what became of recipients of a message, as one batch for the store: completions,
// deferrals, the notifications that they cause, and history. Pure.
//
// A bounce stands in the very batch that ends its recipients, so a crash neither loses nor doubles it.
#pragma once

#include <string>
#include <vector>

#include "queue/delivery_agent.h"
#include "queue/delivery_verdict.h"
#include "queue/dsn.h"
#include "smtp/base/log.h"

namespace holdfast {

// What became of one recipient in one attempt.
struct Ending {
  ClaimedRecipient recipient;
  ClaimToken token;
  Verdict verdict;
  Fate fate = Fate::deferred;
  WallTime next_attempt{};  // deferred, given_back
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
};
DeliveryRecord build_record(RecordRequest request, Random& random);

// The expiry of a message whose last failure was `last`: 4.4.7, or 5.7.10 where REQUIRETLS could not be met
// (RFC 8689).
Verdict expired_verdict(const MessageMeta& meta, Verdict last);

// The log line of an ending.
void log_ending(Log& log, const MessageMeta& meta, const Ending& ending, Duration took);
void add_tls(Fields& fields, const TlsSummary& tls);

// A batch without staged bodies, once more: apply() consumes what it is given, and may have to be repeated.
Accept copy_of(const Accept& accept);
Batch copy_of(const Batch& batch);
void append(Batch& to, Batch from);

}  // namespace holdfast
