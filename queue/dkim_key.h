// queue/dkim_key.h — signing keys: files, DNS records, signatures. RFC 6376 section 3.6.1, RFC 8463.
//
// A key is key_dir/DOMAIN/SELECTOR.pem (PKCS #8 or PKCS #1, RSA of 1024 bits or more, or Ed25519), readable
// by the relay alone. Rotation: make a key under a new selector, publish it, then change dkim.selector.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/settings.h"
#include "smtp/base/result.h"

struct evp_pkey_st;

namespace holdfast {

enum class DkimError {
  no_key = 1,  // there is no such file
  bad_key,     // the file holds no key that can sign
  exists,      // a key would be overwritten
  io,          // a file could not be read or written
  crypto,      // OpenSSL refused
};
const char* category_name(DkimError);
const char* describe(DkimError);

enum class DkimAlgorithm { rsa_sha256, ed25519_sha256 };
const char* name(DkimAlgorithm algorithm);  // as in a=

// Thread-safe: signing changes nothing.
class DkimKey {
 public:
  static Result<DkimKey> load(const std::filesystem::path& path);
  static Result<DkimKey> from_pem(std::string_view pem);
  // A new key: RSA of 2048 bits (longer ones do not fit everybody's DNS), or Ed25519.
  static Result<DkimKey> generate(DkimAlgorithm algorithm);

  // Writes a file of mode 0600 and makes its directory; never overwrites.
  Result<void> save(const std::filesystem::path& path) const;

  DkimAlgorithm algorithm() const { return algorithm_; }
  // Of the octets that RFC 6376 section 3.7 calls hash input. Not encoded.
  Result<std::string> sign(std::string_view input) const;
  // The value of the TXT record: "v=DKIM1; k=rsa; p=…".
  Result<std::string> record() const;

 private:
  DkimKey(std::shared_ptr<evp_pkey_st> key, DkimAlgorithm algorithm)
      : key_(std::move(key)), algorithm_(algorithm) {}
  std::shared_ptr<evp_pkey_st> key_;
  DkimAlgorithm algorithm_;
};

// A key file below key_dir.
struct DkimKeyFile {
  std::string domain, selector;
};
// By domain, then selector; empty when the directory is not there.
std::vector<DkimKeyFile> find_dkim_keys(const std::filesystem::path& key_dir);

std::filesystem::path dkim_key_path(const std::filesystem::path& key_dir, const std::string& domain,
                                    const std::string& selector);
// "holdfast._domainkey.one.example. IN TXT ( "v=DKIM1; …" "…" )": strings of at most 255 octets.
std::string dkim_zone_line(const std::string& domain, const std::string& selector, std::string_view record);

}  // namespace holdfast
