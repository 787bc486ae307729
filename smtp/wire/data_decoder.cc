#include "smtp/wire/data_decoder.h"

#include "smtp/wire/octet_block.h"

namespace holdfast {

// Appends all up to a line end that a dot follows, or up to the end of `in`, and returns how much that was.
std::size_t DataDecoder::take_text(std::string_view in, std::string& out) {
  std::size_t lf = find_pair(in, '\n', '.');
  while (lf != std::string_view::npos && (lf == 0 || in[lf - 1] != '\r')) {
    lf = find_pair(in, '\n', '.', lf + 1);  // a bare LF begins no line
  }
  const std::string_view text = lf == std::string_view::npos ? in : in.substr(0, lf + 1);
  out += text;
  state_ = text.ends_with("\r\n") ? State::line_start : text.ends_with('\r') ? State::text_cr : State::text;
  return text.size();
}

std::size_t DataDecoder::decode(std::string_view in, std::string& out) {
  const std::size_t out_before = out.size();
  std::size_t at = 0;
  while (at < in.size() && state_ != State::finished) {
    if (state_ == State::text) {
      at += take_text(in.substr(at), out);
      continue;
    }
    const char c = in[at++];
    switch (state_) {
      case State::line_start:
        if (c == '.') {
          state_ = State::dot;  // the end, or a dot that the sender stuffed: dropped in either case
          break;
        }
        out += c;
        state_ = c == '\r' ? State::text_cr : State::text;
        break;
      case State::dot:
        if (c == '\r') {
          state_ = State::dot_cr;
          break;
        }
        out += c;
        state_ = State::text;
        break;
      case State::dot_cr:
        if (c == '\n') {
          state_ = State::finished;
          break;
        }
        out += '\r';  // a bare CR behind the dot: no end
        out += c;
        state_ = c == '\r' ? State::text_cr : State::text;
        break;
      case State::text_cr:
        out += c;
        state_ = c == '\n' ? State::line_start : c == '\r' ? State::text_cr : State::text;
        break;
      case State::text:
      case State::finished: break;
    }
  }
  check_.feed(std::string_view(out).substr(out_before));
  if (finished()) check_.finish();
  return at;
}

}  // namespace holdfast
