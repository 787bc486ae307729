// queue/dkim_record.h — does what DNS says of a DKIM key agree with the key? RFC 6376 section 3.6.1. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

struct DkimRecordFinding {
  enum class State {
    good,
    missing,    // no record there is a DKIM key
    several,    // receivers may take any of them, or none (section 3.6.2.2)
    malformed,  // receivers ignore it
    revoked,    // p= is empty
    different,  // another key
    unusable,   // the right key, but limited to what the relay does not do
  } state = State::missing;
  std::string detail;    // what is wrong, in words; "" when good
  bool testing = false;  // t=y: receivers treat the mail as unsigned
};
const char* name(DkimRecordFinding::State state);

// `txt`: all TXT records of SELECTOR._domainkey.DOMAIN; `expected`: DkimKey::record().
DkimRecordFinding compare_dkim_record(const std::vector<std::string>& txt, std::string_view expected);

}  // namespace holdfast
