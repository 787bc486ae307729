// smtp/wire/wire_error.h — how octets on the wire can break the rules of SMTP.
#pragma once

namespace holdfast {

enum class WireError {
  malformed = 1,   // text does not follow its grammar; detail says where
  line_too_long,   // a line exceeds the limit of its reader
  reply_too_long,  // a reply has too many lines: the conversation is not to be trusted further
  bare_cr,         // CR without LF (RFC 5321 section 2.3.8 forbids it); message smuggling if let through
  bare_lf,         // LF without CR, likewise
  nul,             // an octet 0 (section 4.5.2 with RFC 5322 section 2.1.1)
};

const char* category_name(WireError);
const char* describe(WireError);

}  // namespace holdfast
