// mta/cli/dkim_commands.h — `holdfast dkim …` and `holdfast dns check`: keys on disk, records in DNS. Need no
// running relay.
#pragma once

#include <string>
#include <vector>

#include "mta/cli/common.h"

namespace holdfast {

struct DkimOptions {
  std::vector<std::string> domains;  // empty: all that have a key
  std::string selector;              // "" = dkim.selector
  std::string algorithm = "rsa";     // rsa or ed25519
};

// Makes keys that are not there yet and prints their records; a key that is there stays as it is.
int dkim_keygen(const CommonOptions& common, const DkimOptions& options);
// The records to publish.
int dkim_txt(const CommonOptions& common, const DkimOptions& options);
// 0: all that sign now are published; 1: some are not; 75: DNS cannot tell.
int dkim_check(const CommonOptions& common, const DkimOptions& options);

struct DnsOptions {
  std::vector<std::string> domains;    // empty: those with a key, and that of the reports' contact
  std::vector<std::string> addresses;  // empty: those of [[source]]s, or of the hostname
};
// Exit codes as above.
int dns_check(const CommonOptions& common, const DnsOptions& options);

}  // namespace holdfast
