// mta/cli/dns_records.h — what a relay's operator publishes in DNS, as lines of a zone file. Pure.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace holdfast {

struct DnsPlan {
  std::string hostname;
  std::vector<std::string> addresses;  // of the relay; empty = not told
  std::vector<std::string> domains;    // that send through it
  std::string selector;
  std::vector<std::pair<std::string, std::string>> dkim_keys;  // domain, value of its record
  std::vector<std::string> mx;  // of the domains, for their MTA-STS policy; empty = not told
  std::string sts_id;           // of the MTA-STS record: letters and digits
  std::string report_address;   // receives TLS reports
};

std::string zone_lines(const DnsPlan& plan);

// "7.113.0.203.in-addr.arpa."; "" for what is no address.
std::string reverse_name(const std::string& address);

// A TXT record's data: quoted strings of at most 255 octets (RFC 1035 section 3.3).
std::string txt_data(const std::string& text);

}  // namespace holdfast
