#include "smtp/wire/data_decoder.h"

namespace holdfast {

std::size_t DataDecoder::decode(std::string_view in, std::string& out) {
  const std::size_t out_before = out.size();
  std::size_t at = 0;
  while (at < in.size() && state_ != State::finished) {
    if (state_ == State::text) {  // the fast path: all up to the next CR at once
      const std::size_t cr = std::min(in.find('\r', at), in.size());
      out.append(in.substr(at, cr - at));
      at = cr;
      if (at == in.size()) break;
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
      case State::text:
      case State::text_cr:
        out += c;
        if (c == '\r') {
          state_ = State::text_cr;
        } else {
          state_ = state_ == State::text_cr && c == '\n' ? State::line_start : State::text;
        }
        break;
      case State::finished: break;
    }
  }
  check_.feed(std::string_view(out).substr(out_before));
  if (finished()) check_.finish();
  return at;
}

}  // namespace holdfast
