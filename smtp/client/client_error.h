// smtp/client/client_error.h — how a peer (or what we were given to send) can break a conversation.
#pragma once

namespace holdfast {

enum class ClientError {
  unexpected_reply = 1,  // a reply that the command cannot have; the session is closed
  out_of_turn,           // the peer spoke when nothing was asked: replies can no longer be matched; closed
  not_usable,            // the session is closed, or the peer said 421; nothing was sent
  missing_extension,  // the message needs what the peer does not offer; nothing was sent, the session goes on
  no_mechanism,       // the peer offers no AUTH mechanism that we speak; nothing was sent
};

const char* category_name(ClientError);
const char* describe(ClientError);

}  // namespace holdfast
