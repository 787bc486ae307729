#include "smtp/wire/dot_stuffer.h"

#include "smtp/wire/octet_block.h"

namespace holdfast {

Result<void> DotStuffer::stuff(std::string_view chunk, std::string& out) {
  const bool line_start = check_.at_line_start();
  check_.feed(chunk);
  if (check_.violation()) return Error(*check_.violation(), "content to be sent");
  if (line_start && chunk.starts_with('.')) out += '.';
  // Only CRLF holds an LF now, so an LF is a line's end.
  for (std::size_t lf; (lf = find_pair(chunk, '\n', '.')) != std::string_view::npos;) {
    out += chunk.substr(0, lf + 1);
    out += '.';
    chunk.remove_prefix(lf + 1);
  }
  out += chunk;
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
