// smtp/server/refusal.h — a refusal with the reason under which it is counted and logged.
#pragma once

#include <cstdint>
#include <string_view>

#include "smtp/wire/reply.h"

namespace holdfast {

enum class Reason : std::uint8_t {
  syntax,        // no command, bad arguments, bad line
  sequence,      // not now
  tls_required,  // needs STARTTLS first
  tls_failed,    // the handshake failed
  auth_required,
  auth_failed,
  auth_locked,  // too many failures from the address
  auth_unavailable,
  untrusted,    // a trusted listener, and the address is in no trusted network
  connections,  // too many from one address
  sender,       // MAIL FROM is not the user's
  recipient,
  recipients,  // too many in one message
  parameter,   // an extension's parameter cannot be met
  size,
  rate,     // messages or recipients of the user
  content,  // bare CR or LF, NUL, long line
  queue,    // what the queue said
  errors,   // too many
  timeout,
  shutdown,
};
std::string_view name(Reason reason);

// Whether it counts towards the error limit of a session: what a working client does not do. A sequence error
// does not: one refused MAIL brings many, when the client pipelines.
bool is_client_error(Reason reason);

struct Refusal {
  Reason reason = Reason::syntax;
  Reply reply;
};

}  // namespace holdfast
