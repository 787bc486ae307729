#include "smtp/wire/dot_stuffer.h"

namespace holdfast {

Result<void> DotStuffer::stuff(std::string_view chunk, std::string& out) {
  bool line_start = check_.at_line_start();
  check_.feed(chunk);
  if (check_.violation()) return Error(*check_.violation(), "content to be sent");
  // Only CRLF holds an LF now, so an LF is a line's end.
  while (!chunk.empty()) {
    if (line_start && chunk.front() == '.') out += '.';
    const std::size_t end = chunk.find('\n');
    line_start = end != std::string_view::npos;
    const std::size_t count = line_start ? end + 1 : chunk.size();
    out.append(chunk.substr(0, count));
    chunk.remove_prefix(count);
  }
  return {};
}

Result<void> DotStuffer::finish(std::string& out) {
  const bool complete = check_.at_line_start();
  check_.finish();
  if (check_.violation()) return Error(*check_.violation(), "content to be sent");
  out += complete ? ".\r\n" : "\r\n.\r\n";
  return {};
}

}  // namespace holdfast
