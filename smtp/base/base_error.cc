#include "smtp/base/base_error.h"

namespace holdfast {

const char* category_name(BaseError) { return "base"; }

const char* describe(BaseError error) {
  switch (error) {
    case BaseError::timed_out: return "time ran out";
    case BaseError::closed: return "the connection was closed";
    case BaseError::reset: return "the connection broke";
    case BaseError::cancelled: return "the operation was stopped";
    case BaseError::unreachable: return "no connection could be made";
    case BaseError::not_permitted: return "the address may not be reached";
    case BaseError::too_long: return "too long";
    case BaseError::malformed: return "malformed";
    case BaseError::io: return "a system call failed";
    case BaseError::overloaded: return "overloaded";
  }
  return "unknown error";
}

}  // namespace holdfast
