#include "smtp/client/transcript.h"

namespace holdfast {

void Transcript::add(std::string_view who, std::string_view text) {
  if (lines_.size() > kMaxTranscriptLines) return;
  if (lines_.size() == kMaxTranscriptLines) {
    lines_.emplace_back("-- (more was said)");
    return;
  }
  lines_.push_back(std::string(who) + sanitise(text));
}

}  // namespace holdfast
