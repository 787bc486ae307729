// queue/header_trace.h — the Received field, RFC 5321 section 4.4, with RFC 3848 (how) and RFC 8314
// section 4.3 (TLS).
#pragma once

#include <string>

#include "smtp/base/clock.h"
#include "smtp/base/queue_id.h"
#include "smtp/message_sink.h"

namespace holdfast {

struct ReceivedTrace {
  const Envelope& envelope;
  std::string hostname;
  QueueId id;
  WallTime at{};  // by the wall clock
  bool hide_client = false;
};

// The whole field, folded, CRLF at its end. The recipient is named only when there is one: else each would
// see who the others are.
std::string received_field(const ReceivedTrace& trace);

}  // namespace holdfast
