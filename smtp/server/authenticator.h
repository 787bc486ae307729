// smtp/server/authenticator.h — who may submit, and as whom. RFC 4954, 4616.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/settings.h"
#include "smtp/base/asio.h"

namespace holdfast {

// What an authenticated user may do; a snapshot.
struct Identity {
  std::string user;
  std::vector<std::string> senders;  // "*", "a@b.example", "@b.example", "@.b.example"
  Rate messages, recipients;
  bool tls_required_no = false;
};

enum class AuthVerdict {
  accepted,
  rejected,     // 535 5.7.8: unknown user and wrong password alike
  locked_out,   // 454 4.7.0: too many failures from this address; nothing was hashed
  unavailable,  // 454 4.7.0: the users could not be read
};

struct AuthResult {
  AuthVerdict verdict = AuthVerdict::rejected;
  std::optional<Identity> identity;
};

class Authenticator {
 public:
  virtual ~Authenticator() = default;
  // Takes as long for unknown users as for known ones. `client_ip` counts failures. Any worker.
  virtual asio::awaitable<AuthResult> verify_password(std::string user, std::string password,
                                                      IpBytes client_ip) = 0;
};

// May `identity` send as `address` (MAIL FROM or From:)? Pure.
bool may_send_as(const std::vector<std::string>& senders, std::string_view address);

}  // namespace holdfast
