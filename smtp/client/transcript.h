// smtp/client/transcript.h — what was said on a connection, for `trace` and the log: bounded, sanitised,
// without content and credentials.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "smtp/wire/reply.h"

namespace holdfast {

inline constexpr std::size_t kMaxTranscriptLines = 300;  // of at most 512 octets

class Transcript {
 public:
  void sent(std::string_view command) { add("C: ", command); }
  void heard(const Reply& reply) { add("S: ", reply.summary()); }
  void note(std::string_view event) { add("-- ", event); }

  // What was said up to now opened the connection: each message is told behind it.
  void mark_opening() { opening_ = lines_.size(); }
  // Forgets an earlier message on the same connection, whose addresses are no concern of the next.
  void begin_message() { lines_.resize(std::min(lines_.size(), opening_)); }

  // From now on this text is shown as "(hidden)", whoever says it: a server may echo what it was sent.
  void hide(std::string secret);
  std::string without_secrets(std::string_view text) const;

  const std::vector<std::string>& lines() const { return lines_; }

 private:
  void add(std::string_view who, std::string_view text);

  std::vector<std::string> lines_;
  std::vector<std::string> secrets_;
  std::size_t opening_ = 0;
};

}  // namespace holdfast
