// queue/store.h — the durable queue. Asynchronous and batched; one conformance suite runs on every engine
// (tests/queue/store_conformance.h).
//
// Rules that every engine keeps:
//  - apply() is the only write and is atomic: all of a batch is durable when it returns success, none of it
//    otherwise. The engine commits many batches with one synced transaction.
//  - After a failed sync nothing more is acknowledged: every later apply() fails with
//  StoreError::failed_for_good.
//  - A recipient ends exactly once. A completion or deferral with a stale token is refused by itself
//    (ApplyResult::stale) and changes nothing.
//  - Bodies are reached by open_body() only. A body is stored once and shared by the messages that name it.
//  - A row that is damaged is set aside (state `damaged`, named in the log); all others still come.
// All methods may be called on any worker and resume there.
#pragma once

#include <algorithm>
#include <chrono>
#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "smtp/base/body_source.h"
#include "smtp/base/clock.h"
#include "smtp/base/queue_id.h"
#include "smtp/message_sink.h"

namespace holdfast {

enum class StoreError {
  full = 1,         // no space (ENOSPC, EDQUOT): 452
  io,               // a read or write failed: 451
  failed_for_good,  // a sync failed: the process must stop
  not_found,
  damaged,   // length or checksum of a body is wrong
  conflict,  // the database is held by another process
  rejected,  // the batch breaks a rule (an id used twice, no recipients); nothing of it was kept
  closed,    // close() was called
};
const char* category_name(StoreError);
const char* describe(StoreError);

// `held`: by the operator. Only `queued` recipients are claimed. `damaged`: set aside, the operator's to look
// at.
enum class RecipientState : std::uint8_t { queued, held, delivered, bounced, expired, removed, damaged };
const char* name(RecipientState state);
bool has_ended(RecipientState state);  // delivered, bounced, expired or removed

// Fixed at acceptance.
struct MessageMeta {
  QueueId id;
  std::string origin;
  std::string idempotency_key;
  std::string user;
  Mailbox reverse_path;
  std::string envelope_id;
  DsnReturn dsn_return = DsnReturn::unspecified;
  BodyType body_type = BodyType::seven_bit;  // eight_bit when the content has 8-bit octets
  bool smtputf8 = false;                     // the message needs SMTPUTF8 at the next hop
  TlsClass tls;
  bool counts_in_tlsrpt = true;
  bool is_bounce = false;  // null sender, made here
  std::string message_id;  // the header field, for history and search; sanitised
  std::string subject;     // not stored unless asked for; empty
  WallTime accepted{};
  WallTime release{};  // not before; == accepted normally
  WallTime expires{};
  WallTime due_since() const { return std::max(accepted, release); }  // the age of a message counts from here
  std::uint64_t prefix_size = 0;                                      // octets
  std::uint64_t body_size = 0;  // octets; header section of the submitted message included
};

// A body on its way in: write() chunks, then name it in an Accept. Dropped unused, it leaves nothing behind.
class StagedBody {
 public:
  virtual ~StagedBody() = default;
  // Bounded memory: above queue.inline_limit the octets go to a file. Errors: StoreError::full, io.
  virtual asio::awaitable<Result<void>> write(std::string_view chunk) = 0;
  // No more octets come. A large body's file and directory are synced when this returns.
  virtual asio::awaitable<Result<void>> finish() = 0;
  virtual std::uint64_t size() const = 0;
};

struct NewRecipient {
  Mailbox address;
  RecipientDsn dsn;
};

// A message to take in: prefix, body, suffix. The body is a staged (and finished) one, or that of a message
// in the store (`body_of`: its body alone, without its prefix and suffix), or none (a bounce that returns
// headers only carries them in its prefix). prefix_size and body_size of `meta` are filled in by the store.
struct Accept {
  MessageMeta meta;
  std::string prefix;  // header fields, each ending in CRLF
  std::unique_ptr<StagedBody> body;
  std::optional<QueueId> body_of;
  std::string suffix;  // octets after the shared body: the closing boundary of a bounce
  std::vector<NewRecipient> recipients;
  // The caller takes the recipients in hand at once: they are claimed in the same transaction, for
  // kFirstLease. Has no effect on a message whose release is still to come.
  bool claim = false;
};

// A right to act on recipients that were claimed. It lasts at least as long as its lease and becomes void
// when somebody else claims them after that, or when the operator steps in. A completion that comes late but
// before anybody took over still counts: refusing it would deliver the message twice.
struct ClaimToken {
  std::uint64_t value = 0;
  auto operator<=>(const ClaimToken&) const = default;
};

inline constexpr Duration kFirstLease = std::chrono::minutes(10);

using RecipientId = std::uint64_t;

struct ClaimedRecipient {
  RecipientId id = 0;
  Mailbox address;
  RecipientDsn dsn;
  unsigned attempts = 0;  // before this one
  bool delay_notice_sent = false;
};

// Recipients of one message at one recipient domain, in hand.
struct Claim {
  ClaimToken token;
  std::shared_ptr<const MessageMeta> meta;
  std::string domain;
  std::vector<ClaimedRecipient> recipients;
};

struct Complete {
  RecipientId recipient = 0;
  ClaimToken token;
  RecipientState state = RecipientState::delivered;  // an end state
  std::string reply;                                 // sanitised; why
  std::string mx;                                    // host and address that took or refused it
};

struct Defer {
  RecipientId recipient = 0;
  ClaimToken token;
  WallTime next_attempt{};
  bool count_attempt = true;  // false: given back untried (shutdown)
  bool delay_notice_sent = false;
  std::string reason;   // sanitised; shown by queue list
  bool policy = false;  // waits because of TLS policy
};

// A line of a message's history; kept for queue.history.
struct HistoryEntry {
  QueueId message;
  WallTime at{};
  std::string event;   // accepted, attempt, delivered, deferred, bounced, …
  std::string detail;  // JSON object
};

// hold: queued to held; one in hand keeps its claim, and what becomes of that attempt counts. release: held
// to queued, due now. retry: queued ones become due now, but for those in hand. Neither comes before the
// message's `release`. remove: ends them, ended ones
// not. bounce: ends them as bounced, for `reason`, all or none: when one has ended or is in hand, the batch
// is rejected, so that the notification in it never tells of a failure that did not happen.
struct OperatorChange {
  enum class What { hold, release, remove, retry, bounce } what = What::hold;
  std::vector<RecipientId> recipients;
  std::string reason{};  // bounce; sanitised
};

struct Batch {
  std::vector<Accept> accept;
  std::vector<Complete> complete;
  std::vector<Defer> defer;
  std::vector<HistoryEntry> history;
  std::vector<OperatorChange> changes;  // by the operator: they win over claims, whose tokens become stale
  // When a completion or deferral in it is stale, nothing of it is kept (ApplyResult::refused): what it
  // accepts tells of their end, which must not be told when it did not come.
  bool refuse_if_stale = false;
};

struct Accepted {
  QueueId id;  // the first message's id when the idempotency key was known
  bool duplicate = false;
  std::vector<Claim> claims;  // one per recipient domain, when Accept::claim
};

struct ApplyResult {
  std::vector<Accepted> accepted;  // in the order of Batch::accept
  std::vector<RecipientId> stale;  // completions and deferrals that were refused
  bool refused = false;            // Batch::refuse_if_stale, and some were: nothing was written
};

struct DueDomain {
  std::string domain;
  std::uint64_t due = 0;  // unclaimed recipients whose time has come; capped at 1000
};

struct Due {
  std::vector<DueDomain> domains;  // at most the limit asked for
  std::optional<WallTime> next;    // the earliest later next_attempt
};

struct QueueFilter {
  std::string to, from, error;  // substrings, case-insensitive; "" = any
  std::string user;             // exact; "" = any
  std::string domain;           // exact recipient domain; "" = any
  std::optional<QueueId> id;
  std::optional<WallTime> accepted_before, accepted_since;
  std::optional<RecipientState> state;  // nullopt: all that are in the queue (queued, held, damaged)
  // Without `state`: also those that have ended, as far as the history reaches. `error` is then looked for in
  // all that was said about the message, not in the last reason alone.
  bool remembered = false;
  bool newest_first = false;
  std::size_t limit = 1000;
  RecipientId after = 0;  // for paging: the last one of the page before
};

struct QueueRow {
  RecipientId recipient = 0;
  std::shared_ptr<const MessageMeta> meta;
  std::string to;
  RecipientState state = RecipientState::queued;
  bool in_hand = false;  // claimed now
  unsigned attempts = 0;
  WallTime next_attempt{};
  std::string reason;
  bool policy = false;
  Mailbox address;  // empty when the row is damaged
  RecipientDsn dsn;
  std::string mx;                 // that took or refused it for good
  std::optional<WallTime> ended;  // has_ended(state)
};

struct StoreStats {
  std::uint64_t messages = 0, recipients_queued = 0, recipients_deferred = 0, recipients_held = 0,
                damaged = 0;
  std::uint64_t bytes = 0;
  std::optional<WallTime> oldest;                 // accepted time of the oldest message
  std::uint64_t free_bytes = 0, total_bytes = 0;  // of the file system
};

// Reads prefix, body and suffix of a message in one go; checks length and checksum on the way.
class StoredBody : public BodySource {
 public:
  virtual std::uint64_t size() const = 0;
  virtual bool in_memory() const = 0;
};

class Store {
 public:
  virtual ~Store() = default;

  virtual std::unique_ptr<StagedBody> stage_body() = 0;
  virtual asio::awaitable<Result<ApplyResult>> apply(Batch batch) = 0;

  // Which recipient domains have due recipients that nobody holds.
  virtual asio::awaitable<Result<Due>> due(WallTime now, std::size_t limit) = 0;
  // At most `n` recipients in all, oldest next_attempt first, grouped per message and domain.
  virtual asio::awaitable<Result<std::vector<Claim>>> claim(std::vector<std::string> domains, std::size_t n,
                                                            WallTime now, std::string owner,
                                                            Duration lease) = 0;
  // False when nothing is held under the token any more.
  virtual asio::awaitable<Result<bool>> renew(ClaimToken token, Duration lease) = 0;

  virtual asio::awaitable<Result<std::unique_ptr<StoredBody>>> open_body(QueueId id) = 0;
  // The header section only, prefix included, without the empty line that ends it: for bounces. Its first
  // meta.prefix_size octets are the prefix. Bounded by limits.header_size and the prefix.
  virtual asio::awaitable<Result<std::string>> read_header(QueueId id) = 0;

  virtual asio::awaitable<Result<std::vector<QueueRow>>> list(QueueFilter filter) = 0;
  virtual asio::awaitable<Result<std::vector<HistoryEntry>>> history(QueueId id) = 0;  // oldest first
  virtual asio::awaitable<Result<StoreStats>> stats() = 0;

  // Below queue.min_free_space? Cheap; refreshed by the engine about once a second.
  virtual bool low_on_space() const = 0;
  virtual bool failed() const = 0;  // failed_for_good was reached
  // Waits for what is being written and closes. Nothing may be called afterwards.
  virtual asio::awaitable<void> close() = 0;
};

}  // namespace holdfast
