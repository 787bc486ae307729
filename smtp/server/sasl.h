// smtp/server/sasl.h — the server's side of the authentication mechanisms, RFC 4422, 4954.
//
// Procedure: start_sasl() once per AUTH, then respond() with each response of the client, decoded from
// base64, until the step is no challenge. A mechanism keeps no state beyond its exchange.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "smtp/server/authenticator.h"

namespace holdfast {

struct SaslStep {
  enum class Kind { challenge, done, malformed } kind = Kind::malformed;
  std::string challenge;  // not yet base64
  AuthResult result;      // when done
};

SaslStep sasl_challenge(std::string text);
SaslStep sasl_done(AuthResult result);

class SaslExchange {
 public:
  virtual ~SaslExchange() = default;
  // nullopt: the client sent no initial response.
  virtual asio::awaitable<SaslStep> respond(std::optional<std::string> response) = 0;
};

// nullptr for a mechanism that is not known here. `authenticator` outlives the exchange.
std::unique_ptr<SaslExchange> start_sasl(std::string_view mechanism, Authenticator& authenticator,
                                         IpBytes client_ip);

}  // namespace holdfast
