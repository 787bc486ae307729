// config/users_file.h — the users file, which `holdfast user` writes and the submission server reads.
//
// One line per user: the name, then fields in any order, parted by single spaces:
//
//   app password=$y$j9T$… scram=4096,SALT,STOREDKEY,SERVERKEY senders=@example.com messages=2000/h suspended
//
//   password=HASH            crypt(5), as a rule yescrypt
//   scram=N,SALT,STORED,SERVER  SCRAM-SHA-256 keys (RFC 5803): iterations, then base64
//   senders=A,B              what the user may write in MAIL FROM and From:; absent = nothing but the null
//   sender messages=RATE recipients=RATE   absent = unlimited tls-required-no          may send
//   `TLS-Required: No` suspended                may not log in
//
// Empty lines and lines that begin with # are skipped. Parsing and printing are pure; passwords are prepared
// by SASLprep (RFC 4013) before they are hashed or compared.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/secret.h"
#include "config/settings.h"

namespace holdfast {

// What a server needs for SCRAM-SHA-256 (RFC 5802, 7677). The keys are base64, as files and libgsasl have
// them.
struct ScramKeys {
  unsigned iterations = 0;
  std::string salt, stored_key, server_key;
  bool operator==(const ScramKeys&) const = default;
};

struct UserRecord {
  std::string name;
  std::string password_hash;  // crypt(5); empty = no password works but SCRAM may
  std::optional<ScramKeys> scram;
  std::vector<std::string> senders;
  Rate messages, recipients;
  bool tls_required_no = false;
  bool suspended = false;
  bool operator==(const UserRecord&) const = default;
};

struct UsersFile {
  std::vector<UserRecord> users;    // in the order of the file; those of faulty lines are missing
  std::vector<std::string> errors;  // "line 3: unknown field \"sender\""
};

UsersFile parse_users(std::string_view text);
std::string print_users(const std::vector<UserRecord>& users);

// 1 to 255 printable characters without white space, "#" at the start or "=".
bool is_user_name(std::string_view name);
// "*", "a@b.example", "@b.example" or "@.b.example", without white space or comma.
bool is_sender_pattern(std::string_view pattern);

// A full crypt(5) hash of a method that this system verifies, rather than a clear password.
bool looks_like_hash(std::string_view text);

// As SASLprep makes it (RFC 4013); unchanged where the text is not valid for it.
Secret prepare_password(std::string_view password);

// True when `password` belongs to `hash`. Costs what the hash costs (about 20 ms for yescrypt): call it on
// the blocking pool. The comparison takes constant time. Thread-safe. False for a hash that crypt(5) cannot
// read.
bool verify_password(std::string_view hash, std::string_view password);

// A fresh yescrypt hash; `cost` 0 is the library's choice, 1 the cheapest (tests). nullopt for a password
// that is empty, longer than 511 octets or has a NUL.
std::optional<std::string> hash_password(std::string_view password, unsigned long cost = 0);

// Fresh SCRAM-SHA-256 keys with a random salt; nullopt as above. 4096 is the minimum of RFC 7677.
inline constexpr unsigned kScramIterations = 10000;
std::optional<ScramKeys> make_scram(std::string_view password, unsigned iterations = kScramIterations);
// The keys of one salt (16 octets or more, raw).
std::optional<ScramKeys> derive_scram(std::string_view password, std::string_view salt,
                                      unsigned iterations = kScramIterations);

}  // namespace holdfast
