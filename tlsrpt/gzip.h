// tlsrpt/gzip.h — gzip in memory (RFC 1952), for reports on their way out and in.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "smtp/base/result.h"

namespace holdfast {

// The same octets for the same text: no time, no name.
std::string gzip(std::string_view text);

// All members, one after the other. BaseError::too_long as soon as more than `max_size` octets come out, so a
// compressed bomb costs no more than that; BaseError::malformed for anything but complete gzip.
Result<std::string> gunzip(std::string_view octets, std::size_t max_size);

inline bool looks_like_gzip(std::string_view octets) { return octets.starts_with("\x1f\x8b"); }

}  // namespace holdfast
