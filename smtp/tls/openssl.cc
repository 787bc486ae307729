#include "smtp/tls/openssl.h"

#include <openssl/err.h>

namespace holdfast {

std::string take_openssl_error() {
  const unsigned long error = ERR_peek_last_error();
  ERR_clear_error();
  if (error == 0) return "unknown cause";
  if (ERR_SYSTEM_ERROR(error)) return "system error " + std::to_string(ERR_GET_REASON(error));
  const char* reason = ERR_reason_error_string(error);
  return reason != nullptr ? reason : "OpenSSL error " + std::to_string(error);
}

std::string printable(std::string_view text, std::size_t limit) {
  std::string out;
  for (const char c : text.substr(0, limit)) {
    // A certificate's strings are ASCII where they matter; everything else is shown as '?'.
    out += c >= 0x20 && c < 0x7f ? c : '?';
  }
  return out;
}

}  // namespace holdfast
