// smtp/wire/command.h — one line from a client to one command, RFC 5321 section 4.1.1 and the extensions.
//
// What cannot be a command comes out as cmd::Bad with the very Reply to send. Whether a command may come now
// is the session's business.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "smtp/wire/address.h"
#include "smtp/wire/parameters.h"

namespace holdfast {

// RFC 5321 section 4.5.3.1.4 asks for 512; parameters of MAIL and RCPT (DSN, SIZE, AUTH, SMTPUTF8) raise it.
inline constexpr std::size_t kMaxCommandLine = 2048 - 2;
inline constexpr std::size_t kMaxAuthLine = 12288 - 2;  // RFC 4954 section 4

enum class Verb {
  ehlo,
  helo,
  mail,
  rcpt,
  data,
  bdat,
  rset,
  noop,
  quit,
  vrfy,
  expn,
  help,
  starttls,
  auth,
  unknown
};
std::string_view name(Verb verb);  // "EHLO"; "" for unknown

namespace cmd {

struct Hello {
  bool extended = true;  // EHLO
  std::string name;      // printable ASCII; anything odd in it is replaced by '?'
};
struct Mail {
  Mailbox reverse_path;  // empty = null
  bool ascii = true;     // the path as written
  MailParameters parameters;
};
struct Rcpt {
  Mailbox forward_path;  // domain empty: <Postmaster>
  bool ascii = true;
  RcptParameters parameters;
};
struct Data {};
struct Bdat {
  std::uint64_t size = 0;
  bool last = false;
};
struct Rset {};
struct Noop {};
struct Quit {};
struct Vrfy {};
struct Expn {};
struct Help {};
struct StartTls {};
struct Auth {
  std::string mechanism;                        // upper case
  std::optional<std::string> initial_response;  // as given: base64, or "=" for an empty one
};
struct Bad {
  Verb verb = Verb::unknown;
  Reply reply;
  bool foreign = false;  // another protocol speaks to us (HTTP): nothing that follows may be believed
};

}  // namespace cmd

using Command = std::variant<cmd::Bad, cmd::Hello, cmd::Mail, cmd::Rcpt, cmd::Data, cmd::Bdat, cmd::Rset,
                             cmd::Noop, cmd::Quit, cmd::Vrfy, cmd::Expn, cmd::Help, cmd::StartTls, cmd::Auth>;

// `line` without its CRLF, free of CR, LF and NUL (LineBuffer).
Command parse_command(std::string_view line);

// The verb alone, whatever follows it.
Verb parse_verb(std::string_view line);

}  // namespace holdfast
