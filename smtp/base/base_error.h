// smtp/base/base_error.h — errors of streams, timers and names.
#pragma once

namespace holdfast {

enum class BaseError {
  timed_out = 1,  // a deadline passed; the stream is unusable afterwards
  closed,         // the peer closed its side in an orderly way, or the stream was closed here
  reset,          // the connection broke
  cancelled,      // the owner stopped the operation (shutdown); nothing is known of the peer
  unreachable,    // no connection could be made
  not_permitted,  // the address may not be reached (`egress.allow`)
  too_long,       // a line, name or field exceeds its limit
  malformed,      // text does not follow its grammar
  io,             // a file or system call failed; detail names it
  overloaded,     // a bounded queue is full and the caller may not wait
};

const char* category_name(BaseError);
const char* describe(BaseError);

}  // namespace holdfast
