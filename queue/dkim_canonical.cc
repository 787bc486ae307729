#include "queue/dkim_canonical.h"

#include "smtp/wire/ascii.h"

namespace holdfast {
namespace {

bool is_wsp(char c) { return c == ' ' || c == '\t'; }

}  // namespace

std::string relaxed_field(std::string_view raw) {
  const std::size_t colon = raw.find(':');
  std::string_view name = raw.substr(0, colon);
  while (!name.empty() && is_wsp(name.back())) name.remove_suffix(1);
  std::string out = lower_case(name) + ":";
  bool space = false;
  bool begun = false;
  for (const char c : raw.substr(colon == std::string_view::npos ? raw.size() : colon + 1)) {
    if (c == '\r' || c == '\n') continue;
    if (is_wsp(c)) {
      space = true;
      continue;
    }
    if (space && begun) out += ' ';
    space = false;
    begun = true;
    out += c;
  }
  return out;
}

void RelaxedBody::end_line(std::string& out) {
  if (in_line_) {
    out += "\r\n";
  } else {
    ++empty_lines_;
  }
  space_ = in_line_ = false;
}

void RelaxedBody::feed(std::string_view chunk, std::string& out) {
  for (const char c : chunk) {
    if (after_cr_) {
      after_cr_ = false;
      if (c == '\n') {
        end_line(out);
        continue;
      }
      // A bare CR never reaches the queue; were it here, it would be text.
    }
    if (c == '\r') {
      after_cr_ = true;
      continue;
    }
    if (is_wsp(c)) {
      space_ = true;
      continue;
    }
    if (!in_line_) {
      for (; empty_lines_ > 0; --empty_lines_) out += "\r\n";
      in_line_ = true;
    }
    if (space_) out += ' ';
    space_ = false;
    out += c;
  }
}

void RelaxedBody::finish(std::string& out) {
  if (in_line_) end_line(out);
}

}  // namespace holdfast
