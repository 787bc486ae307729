// queue/dsn_text.h — the parts of a notification that are text: what people read, and what programs do. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "queue/dsn.h"

namespace holdfast {

// The first part: plain words, lines of at most 76 characters where words allow.
std::string dsn_explanation(const DsnRequest& request, const std::vector<DsnRecipient>& recipients);

// The second part: message/delivery-status (RFC 3464), or message/global-delivery-status (RFC 6533) when
// `utf8`.
std::string dsn_status(const DsnRequest& request, const std::vector<DsnRecipient>& recipients, bool utf8);

const char* dsn_subject(DsnKind kind);

// Control characters never, and without `utf8` nothing but ASCII.
std::string dsn_safe(std::string_view text, bool utf8);
// "rfc822; a@one.example", or as RFC 6533 section 3 writes an address that is not ASCII.
std::string dsn_address(const Mailbox& address, bool utf8);
// Words broken into lines of at most 76 characters, each begun by `indent` and ended by CRLF.
std::string wrap_words(std::string_view text, std::string_view indent);

}  // namespace holdfast
