// mta/dkim_keys.h — signing keys as the operator makes and sees them: `holdfast dkim` and the admin API.
#pragma once

#include <filesystem>
#include <string>

#include "mta/own_dns.h"
#include "queue/dkim_key.h"
#include "smtp/base/result.h"

namespace holdfast {

struct MadeKey {
  OwnKey key;
  std::filesystem::path file;
  bool made = false;  // false: it was there already, and stays as it is
};

// Makes the key of `domain` and `dkim.selector` if there is none. Whoever owns the nearest directory that is
// there owns what is made below it: root prepares keys for the relay's user. Errors: DkimError.
Result<MadeKey> make_dkim_key(const DkimSettings& settings, const std::string& domain,
                              DkimAlgorithm algorithm);

// It becomes a file name and a DNS label; "" is none.
bool is_selector(const std::string& text);

// {schema, domain, selector, in_use, made, record, zone}
std::string key_json(const OwnKey& key, bool made);

// {schema, severity, record, text, remedy}
std::string finding_json(const OwnDnsFinding& finding);

}  // namespace holdfast
