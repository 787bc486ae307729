// smtp/wire/dot_stuffer.h — content in, the DATA stream out: a dot at the start of a line is doubled, and the
// end is CRLF.CRLF (RFC 5321 section 4.5.2). Streaming; any split into chunks gives the same octets.
//
// Content that holds a bare CR, bare LF or NUL is an error: sent on, a peer could read an end of content into
// it (invariant 27). The connection must then be closed without the final dot.
#pragma once

#include <string>
#include <string_view>

#include "smtp/base/result.h"
#include "smtp/wire/content_check.h"

namespace holdfast {

class DotStuffer {
 public:
  // Appends `chunk` to `out`, stuffed. Error: WireError::bare_cr, bare_lf or nul, and `out` is as before.
  Result<void> stuff(std::string_view chunk, std::string& out);
  // Appends the end: a CRLF where the content lacks it, then ".CRLF".
  Result<void> finish(std::string& out);

 private:
  ContentCheck check_;
};

}  // namespace holdfast
