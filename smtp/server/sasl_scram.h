// smtp/server/sasl_scram.h — SCRAM-SHA-256 (RFC 5802, 7677) by libgsasl.
#pragma once

#include <memory>

#include "smtp/server/sasl.h"

namespace holdfast {

std::unique_ptr<SaslExchange> start_scram_sha256(Authenticator& authenticator, IpBytes client_ip);

// What the client's first message says of whom it is for; nullopt when it is malformed, or asks for channel
// binding, which a mechanism without PLUS has not (libgsasl's server would let it pass).
struct ScramFirst {
  std::string user;
  std::string authorization;  // "" = the user
};
std::optional<ScramFirst> parse_scram_first(std::string_view message);

}  // namespace holdfast
