#include "smtp/wire/wire_error.h"

namespace holdfast {

const char* category_name(WireError) { return "wire"; }

const char* describe(WireError error) {
  switch (error) {
    case WireError::malformed: return "malformed";
    case WireError::line_too_long: return "line too long";
    case WireError::reply_too_long: return "reply with too many lines";
    case WireError::bare_cr: return "CR without LF";
    case WireError::bare_lf: return "LF without CR";
    case WireError::nul: return "NUL octet";
  }
  return "unknown";
}

}  // namespace holdfast
