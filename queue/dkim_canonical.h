// queue/dkim_canonical.h — the "relaxed" canonical forms of RFC 6376 section 3.4. Pure.
#pragma once

#include <string>
#include <string_view>

namespace holdfast {

// Section 3.4.2: name in lower case, unfolded, white space runs to one space and none at the ends. Without
// the final CRLF, which follows each signed field but DKIM-Signature itself.
std::string relaxed_field(std::string_view raw);

// Section 3.4.4, for a body that comes in chunks: each feed() appends what is certain by now.
class RelaxedBody {
 public:
  void feed(std::string_view chunk, std::string& out);
  // The end: mends a missing final CRLF, drops empty lines at the end.
  void finish(std::string& out);

 private:
  void end_line(std::string& out);

  std::size_t empty_lines_ = 0;  // held back: at the end of the body they do not count
  bool space_ = false;           // white space held back: at the end of a line it does not count
  bool in_line_ = false;         // the line has something else
  bool after_cr_ = false;
};

}  // namespace holdfast
