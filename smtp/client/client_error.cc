#include "smtp/client/client_error.h"

namespace holdfast {

const char* category_name(ClientError) { return "smtp client"; }

const char* describe(ClientError error) {
  switch (error) {
    case ClientError::unexpected_reply: return "the peer gave a reply that does not fit the command";
    case ClientError::out_of_turn: return "the peer spoke out of turn";
    case ClientError::not_usable: return "the session can no longer be used";
    case ClientError::missing_extension: return "the peer lacks an extension that the message needs";
    case ClientError::no_mechanism: return "the peer offers no usable AUTH mechanism";
  }
  return "unknown client error";
}

}  // namespace holdfast
