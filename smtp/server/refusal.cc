#include "smtp/server/refusal.h"

namespace holdfast {

std::string_view name(Reason reason) {
  switch (reason) {
    case Reason::syntax: return "syntax";
    case Reason::sequence: return "sequence";
    case Reason::tls_required: return "tls_required";
    case Reason::tls_failed: return "tls_failed";
    case Reason::auth_required: return "auth_required";
    case Reason::auth_failed: return "auth_failed";
    case Reason::auth_locked: return "auth_locked";
    case Reason::auth_unavailable: return "auth_unavailable";
    case Reason::untrusted: return "untrusted";
    case Reason::connections: return "connections";
    case Reason::sender: return "sender";
    case Reason::recipient: return "recipient";
    case Reason::recipients: return "recipients";
    case Reason::parameter: return "parameter";
    case Reason::size: return "size";
    case Reason::rate: return "rate";
    case Reason::content: return "content";
    case Reason::queue: return "queue";
    case Reason::errors: return "errors";
    case Reason::timeout: return "timeout";
    case Reason::shutdown: return "shutdown";
  }
  return "unknown";
}

bool is_client_error(Reason reason) {
  switch (reason) {
    case Reason::syntax:
    case Reason::tls_required:
    case Reason::auth_required:
    case Reason::auth_failed:
    case Reason::auth_locked:
    case Reason::sender:
    case Reason::recipient:
    case Reason::parameter:
    case Reason::content: return true;
    default: return false;
  }
}

}  // namespace holdfast
