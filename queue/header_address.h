// queue/header_address.h — the mailboxes in an address field (From), RFC 5322 section 3.4. Pure.
//
// Strict on purpose: what decides whether a user may write an address must not read a field otherwise than
// the recipient's reader does. A field that could be read in two ways is malformed.
#pragma once

#include <string_view>
#include <vector>

#include "smtp/base/result.h"
#include "smtp/wire/address.h"

namespace holdfast {

// "Ann <a@one.example>, b@two.example (Bert)". Display names, comments and groups are passed over. Error:
// BaseError::malformed, also for a field without any mailbox.
Result<std::vector<Mailbox>> parse_mailboxes(std::string_view value);

}  // namespace holdfast
