#include "smtp/client/transcript.h"

namespace holdfast {

void Transcript::add(std::string_view who, std::string_view text) {
  if (lines_.size() > kMaxTranscriptLines) return;
  if (lines_.size() == kMaxTranscriptLines) {
    lines_.emplace_back("-- (more was said)");
    return;
  }
  lines_.push_back(std::string(who) + sanitise(without_secrets(text)));
}

void Transcript::hide(std::string secret) {
  constexpr std::size_t kShortest =
      4;  // shorter ones stand in words by chance, and tell nobody anything there
  if (secret.size() >= kShortest) secrets_.push_back(std::move(secret));
}

std::string Transcript::without_secrets(std::string_view text) const {
  std::string out(text);
  for (const std::string& secret : secrets_)
    for (std::size_t at = 0; (at = out.find(secret, at)) != std::string::npos;)
      out.replace(at, secret.size(), "(hidden)");
  return out;
}

}  // namespace holdfast
