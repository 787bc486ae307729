// mta/spf_check.h — would SPF pass for mail from one of our addresses? RFC 7208, as receivers evaluate it.
//
// Of one's own records only: macros are not expanded (result unknown), and `ptr`, which section 5.5 tells not
// to use, never matches.
#pragma once

#include <string>

#include "smtp/base/asio.h"
#include "smtp/dns/resolver.h"

namespace holdfast {

inline constexpr int kSpfLookups = 10;  // section 4.6.4: more make the record an error for receivers

struct SpfFinding {
  enum class Result {
    none,
    pass,
    neutral,
    softfail,
    fail,
    permerror,
    temperror,
    unknown
  } result = Result::none;
  std::string detail;  // what decided: the term, or what is wrong
};
const char* name(SpfFinding::Result result);

// `domain` in A-labels.
asio::awaitable<SpfFinding> check_spf(Resolver& resolver, std::string domain, IpBytes ip);

}  // namespace holdfast
