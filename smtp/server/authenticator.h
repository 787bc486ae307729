// smtp/server/authenticator.h — who may submit, and as whom. RFC 4954, 4616.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/secret.h"
#include "config/settings.h"
#include "config/users_file.h"
#include "smtp/base/asio.h"

namespace holdfast {

// What an authenticated user may do; a snapshot.
struct Identity {
  std::string user;
  std::vector<std::string> senders;  // "*", "a@b.example", "@b.example", "@.b.example"
  Rate messages, recipients;
  bool tls_required_no = false;
};

enum class Standing {
  good,
  suspended,
  unknown,  // removed, or the users file is being written
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

// What a server needs to run SCRAM-SHA-256 with a user (RFC 5802, 7677).
struct ScramOffer {
  AuthVerdict verdict = AuthVerdict::accepted;  // any other ends the exchange before it begins
  ScramKeys keys;  // for an unknown user such as look real, stay the same, and fit no password
};

class Authenticator {
 public:
  virtual ~Authenticator() = default;
  // Takes as long for unknown users as for known ones. `client_ip` counts failures. Any worker.
  virtual asio::awaitable<AuthResult> verify_password(std::string user, Secret password,
                                                      IpBytes client_ip) = 0;

  // What the user may do now; nullopt once the user is gone or suspended. Sessions ask at each message.
  virtual asio::awaitable<std::optional<Identity>> identity_of(std::string user) = 0;

  // The same question where a name that is gone need not be gone for good. Sessions ask at a message's end.
  virtual asio::awaitable<Standing> standing_of(std::string user) = 0;

  // A challenge and response in two halves. The first counts as a failure of `client_ip` until the second
  // says that the client proved to know the password behind the keys.
  virtual asio::awaitable<ScramOffer> offer_scram(std::string user, IpBytes client_ip) = 0;
  virtual asio::awaitable<AuthResult> conclude_scram(std::string user, bool proved, IpBytes client_ip) = 0;
};

// May `identity` send as `address` (MAIL FROM or From:)? Pure.
bool may_send_as(const std::vector<std::string>& senders, std::string_view address);

}  // namespace holdfast
