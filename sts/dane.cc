#include "sts/dane.h"

#include <openssl/err.h>
#include <openssl/x509.h>

#include <algorithm>
#include <map>

namespace holdfast {
namespace {

constexpr std::size_t kSha256 = 32, kSha512 = 64;

// Full data must be one whole certificate or public key; what OpenSSL cannot read would make the set unusable
// only after TLS has begun.
bool is_certificate(const std::string& der) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const auto* end = at + der.size();
  X509* certificate = d2i_X509(nullptr, &at, static_cast<long>(der.size()));
  const bool whole = certificate != nullptr && at == end && X509_get0_pubkey(certificate) != nullptr;
  X509_free(certificate);
  ERR_clear_error();  // a left-over would be read as the failure of some later TLS operation
  return whole;
}

bool is_public_key(const std::string& der) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const auto* end = at + der.size();
  EVP_PKEY* key = d2i_PUBKEY(nullptr, &at, static_cast<long>(der.size()));
  const bool whole = key != nullptr && at == end;
  EVP_PKEY_free(key);
  ERR_clear_error();
  return whole;
}

}  // namespace

bool is_usable(const TlsaRecord& record) {
  if (record.usage != 2 && record.usage != 3) return false;
  if (record.selector > 1) return false;
  switch (record.matching_type) {
    case 0: return record.selector == 0 ? is_certificate(record.data) : is_public_key(record.data);
    case 1: return record.data.size() == kSha256;
    case 2: return record.data.size() == kSha512;
    default: return false;
  }
}

std::vector<TlsaRecord> usable_records(const std::vector<TlsaRecord>& records) {
  std::vector<TlsaRecord> usable;
  std::map<std::pair<int, int>, std::uint8_t> strongest;
  for (const TlsaRecord& record : records) {
    if (!is_usable(record)) continue;
    usable.push_back(record);
    // SHA-512 (2) ranks above SHA-256 (1), as in OpenSSL.
    auto& best = strongest[{record.usage, record.selector}];
    best = std::max(best, record.matching_type);
  }
  std::erase_if(usable, [&](const TlsaRecord& record) {
    return record.matching_type != 0 && record.matching_type != strongest[{record.usage, record.selector}];
  });
  std::sort(usable.begin(), usable.end());
  usable.erase(std::unique(usable.begin(), usable.end()), usable.end());
  return usable;
}

std::string tlsa_text(const TlsaRecord& record) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string text = std::to_string(record.usage) + ' ' + std::to_string(record.selector) + ' ' +
                     std::to_string(record.matching_type) + ' ';
  text.reserve(text.size() + 2 * record.data.size());
  for (const char c : record.data) {
    const auto byte = static_cast<unsigned char>(c);
    text += kHex[byte >> 4];
    text += kHex[byte & 15];
  }
  return text;
}

std::vector<DomainName> tlsa_base_domains(const DomainName& host, const HostAddresses& addresses) {
  std::vector<DomainName> bases;
  const bool aliased = !addresses.canonical.empty() && addresses.canonical != host.text();
  if (addresses.secure && aliased) {
    if (auto canonical = DomainName::parse(addresses.canonical)) bases.push_back(std::move(*canonical));
  }
  // A secure alias into an unsigned zone leaves the original name as a base.
  if (addresses.secure || addresses.alias_secure) bases.push_back(host);
  return bases;
}

}  // namespace holdfast
