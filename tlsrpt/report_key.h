// tlsrpt/report_key.h — the key that signs report mail, and whether the world can find it.
//
// Receivers must ignore report mail without a valid signature (RFC 8460 section 3), so mail waits until the
// key is in DNS. The key itself is the queue's business; this room only knows its record.
#pragma once

#include <string>

#include "config/settings.h"
#include "smtp/base/result.h"
#include "smtp/dns/resolver.h"

namespace holdfast {

struct KeyRecord {
  std::string name;       // "holdfast._domainkey.relay.example"
  std::string value;      // "v=DKIM1; k=rsa; p=…"
  std::string zone_line;  // both, as a line of a zone file
};

class ReportKey {
 public:
  virtual ~ReportKey() = default;
  // The record of the key of the contact's domain, which is made when there is none. Reads files: call it
  // where that may block.
  virtual Result<KeyRecord> record(const Settings& settings) = 0;
};

// p= of a DKIM key record without white space, RFC 6376 section 3.6.1; "" when there is none.
std::string dkim_public_key(std::string_view record);

// "" when one of the name's TXT records holds our key; else what is wrong.
asio::awaitable<std::string> why_key_is_not_found(Resolver& resolver, KeyRecord record);

}  // namespace holdfast
