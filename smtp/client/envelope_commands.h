// smtp/client/envelope_commands.h — MAIL and RCPT as they are said to a peer with given extensions. Pure.
#pragma once

#include "smtp/client/client_session.h"

namespace holdfast {

// Without CRLF. Parameters are given only where the peer offers their extension. Error: BaseError::malformed
// when an address or a parameter holds what would break the line.
Result<std::string> mail_command(const OutgoingMessage& message, const Extensions& peer);
Result<std::string> rcpt_command(const OutgoingRecipient& recipient, const Extensions& peer);

// What the message needs and the peer lacks; sent all the same, it would be altered, refused or unprotected.
Result<void> check_needs(const OutgoingMessage& message, const Extensions& peer, bool under_tls);

// A refusal of a recipient that means "too many recipients" is temporary whatever its code says (RFC 5321
// section 4.5.3.1.10). `accepted_before`: recipients that this transaction already has.
Reply soften_refusal(Reply reply, std::size_t accepted_before);

}  // namespace holdfast
