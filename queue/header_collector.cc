#include "queue/header_collector.h"

#include "queue/header_section.h"

namespace holdfast {

HeaderCollector::State HeaderCollector::complete(std::size_t size, bool empty_line) {
  header_size_ = size;
  empty_line_ = empty_line;
  return size > limit_ ? State::too_long : State::complete;
}

HeaderCollector::State HeaderCollector::feed(std::string_view chunk) {
  text_ += chunk;
  // A CR that comes last may be half of a line end, which the limit leaves room for.
  const State unended =
      text_.size() - (text_.ends_with('\r') ? 1 : 0) > limit_ ? State::too_long : State::collecting;
  if (!first_line_seen_) {
    const std::size_t end = text_.find("\r\n");
    if (end == std::string::npos) return unended;
    if (end > limit_) return State::too_long;
    first_line_seen_ = true;
    if (end == 0) return complete(0, true);
    if (!begins_field(std::string_view(text_).substr(0, end))) return complete(0, false);
  }
  const std::size_t end = text_.find("\r\n\r\n", scanned_);
  if (end != std::string::npos) return complete(end + 2, true);
  scanned_ = text_.size() < 3 ? 0 : text_.size() - 3;
  return unended;
}

HeaderCollector::State HeaderCollector::end() {
  // A last line without CRLF is mended as the end of every body is.
  if (!text_.empty() && !text_.ends_with("\r\n")) text_ += "\r\n";
  if (!first_line_seen_ && !text_.empty() &&
      !begins_field(std::string_view(text_).substr(0, text_.find("\r\n"))))
    return complete(0, false);
  return complete(text_.size(), false);
}

}  // namespace holdfast
