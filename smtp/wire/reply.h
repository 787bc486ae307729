// smtp/wire/reply.h — SMTP replies, RFC 5321 section 4.2, with enhanced status codes, RFC 2034 and 3463.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "smtp/base/result.h"

namespace holdfast {

inline constexpr std::size_t kMaxReplyLine = 2048;  // RFC 5321 says 512; large sites exceed it
inline constexpr std::size_t kMaxReplyLines = 128;  // bounds memory: 128 lines of 2 KiB

struct EnhancedStatus {
  int status_class = 0;      // 2, 4 or 5
  int subject = 0;           // 0 to 999
  int detail = 0;            // 0 to 999
  std::string text() const;  // "5.7.1"
  static std::optional<EnhancedStatus> parse(std::string_view text);
  auto operator<=>(const EnhancedStatus&) const = default;
};

struct Reply {
  int code = 0;
  std::vector<std::string> text;  // one entry per line, code and separator removed

  bool accepted() const { return code / 100 == 2; }
  bool intermediate() const { return code / 100 == 3; }
  bool temporary() const { return code / 100 == 4; }
  bool permanent() const { return code / 100 == 5; }
  // At the start of the first line, when its class agrees with the code (RFC 2034 section 4).
  std::optional<EnhancedStatus> enhanced() const;
  // One line for people and logs: "550 5.1.1 no such user", line ends and control characters replaced, at
  // most 512 octets (invariant 28).
  std::string summary() const;
  // As sent on the wire, each line ended by CRLF. Lines are sanitised and cut to the 512 octets of RFC 5321
  // section 4.5.3.1.5.
  std::string wire() const;
};

// "550", "5.1.1 no such user": the text begins with its enhanced code.
Reply make_reply(int code, std::string text);

// Replaces CR, LF, NUL and other control characters by spaces, invalid UTF-8 by '?', and cuts to `limit`
// octets.
std::string sanitise(std::string_view peer_text, std::size_t limit = 512);

// Joins reply lines into a Reply. Does no I/O, so tests and fuzzers drive it directly.
class ReplyParser {
 public:
  // Takes one line without its line end; yields the Reply once its last line has come. Errors: WireError; the
  // conversation cannot go on after one.
  Result<std::optional<Reply>> feed(std::string_view line);

 private:
  Reply partial_;
};

}  // namespace holdfast
