// smtp/message_sink.h — the one interface by which a message from outside the store enters the queue:
// submissions, TLS reports, what the operator injects. The store's own bounces do not pass here.
//
// Procedure: admit() at MAIL says whether the queue takes mail at all; accept() pulls the body, and returns
// once the message is durable. Whoever calls accept() may say 250 exactly when it holds an id.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "smtp/base/body_source.h"
#include "smtp/base/clock.h"
#include "smtp/base/queue_id.h"
#include "smtp/base/result.h"
#include "smtp/tls/tls_class.h"
#include "smtp/wire/address.h"
#include "smtp/wire/dsn_options.h"
#include "smtp/wire/reply.h"

namespace holdfast {

enum class BodyType : std::uint8_t { seven_bit, eight_bit };

struct EnvelopeRecipient {
  Mailbox address;
  RecipientDsn dsn;
};

// What the Received field tells of the session that brought the message (RFC 5321 section 4.4, RFC 3848).
struct TraceInfo {
  std::string helo;       // as given, sanitised
  std::string client_ip;  // "" = left out
  std::string protocol;   // "ESMTPSA", "UTF8SMTPSA", …
  std::string tls;        // "TLSv1.3 TLS_AES_256_GCM_SHA384", "" without TLS
  std::string listener;   // its bind address, for log and metrics
};

struct Envelope {
  std::string origin;           // "submission", "tlsrpt", "operator"
  std::string idempotency_key;  // "" = none; else a second accept with it answers with the first id
  Mailbox reverse_path;         // empty = null
  std::vector<EnvelopeRecipient> recipients;
  std::string envelope_id;  // ENVID, xtext still encoded
  DsnReturn dsn_return = DsnReturn::unspecified;
  BodyType body = BodyType::seven_bit;  // what the client declared
  bool smtputf8 = false;
  std::uint64_t declared_size = 0;  // SIZE=, 0 = not given
  TlsClass tls;
  bool may_say_tls_required_no = false;  // the header `TLS-Required: No` counts (tls_required_no of the user)
  bool counts_in_tlsrpt = true;
  std::string signing_domain;        // DKIM d= whatever `dkim.sign` says; "" = as configured
  std::optional<WallTime> release;   // not before (FUTURERELEASE)
  std::optional<WallTime> expires;   // default: delivery.expire from now
  std::string user;                  // the authenticated user, "" = none
  std::vector<std::string> senders;  // what the user may write in From:; empty = anything
  bool trusted_client = false;       // from a trusted network: a missing From may be mended
  TraceInfo trace;
};

// Either the message is durable under `id`, or it is refused with `refusal` (4xx or 5xx, enhanced code first)
// and nothing is kept.
struct Acceptance {
  std::optional<QueueId> id;
  Reply refusal;
};

class MessageSink {
 public:
  virtual ~MessageSink() = default;
  // Whether a message of `size` octets (0 = unknown) may come now; else the reply to MAIL (452, 552).
  virtual std::optional<Reply> admit(std::uint64_t size) = 0;
  // Reads the body to its end or to the first reason to refuse. An Error is the source's own (the client went
  // away); then nothing is kept. Called on any worker; `body` outlives the call.
  virtual asio::awaitable<Result<Acceptance>> accept(Envelope envelope, BodySource& body) = 0;
};

// What became of one recipient, told to the origin that brought the message.
struct RecipientEnd {
  QueueId id;
  std::string origin;
  std::string idempotency_key;
  std::string recipient;
  enum class How { delivered, bounced, removed } how = How::delivered;
  std::string reason;
};

class OriginObserver {
 public:
  virtual ~OriginObserver() = default;
  virtual void recipient_ended(const RecipientEnd& end) = 0;  // after it is durable; on any thread
};

}  // namespace holdfast
